"""What happens around the steps: checkpoints, interruption, pictures, numbers, the progress bar."""
