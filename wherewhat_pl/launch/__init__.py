"""Before a run: what it would be, what it would cost, whether its data is there."""
