"""Synthetic data sets drawn from their factors, after the originals' own animations, on any device."""
