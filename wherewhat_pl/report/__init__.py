"""A run's report as one page."""
