"""Numbers from a model: measure it by metrics' names, keep the results, rank models."""
