"""Where everything of a run lives, and how a run becomes networks and data again."""
