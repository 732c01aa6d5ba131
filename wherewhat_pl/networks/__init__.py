"""Generator, discriminator and recognizer, and the layers they are built from."""
