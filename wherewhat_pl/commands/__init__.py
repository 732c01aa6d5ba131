"""A file per verb: a dataclass of its settings, whose comments are its help, and ``run``, which does it.

Nothing heavy is imported before ``run``, so that help and typos are answered at once.
"""
