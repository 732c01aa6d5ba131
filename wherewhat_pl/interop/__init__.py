"""Models and formats of others."""
