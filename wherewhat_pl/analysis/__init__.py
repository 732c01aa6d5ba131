"""What one does with a trained run: traverse its latents, see its masks, ask which latent explains which factor."""
