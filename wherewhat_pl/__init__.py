"""Unsupervised, interpretable disentanglement with PS-SC GANs (Zhu, Xu, Tao, CVPR 2021) on PyTorch Lightning."""

__version__ = "0.1.0"
