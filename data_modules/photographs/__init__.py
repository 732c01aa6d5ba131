"""Photographs from wherever people have them: found, decoded, prepared once into an array."""
