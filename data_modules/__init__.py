"""LightningDataModules for the disentanglement literature's data sets; they know nothing of GANs."""
