"""Measuring: disentanglement with and without labels, perceptual distance, masks, image quality.

Metrics take tensors or functions, never a training system, so they serve any generator or encoder.
"""
