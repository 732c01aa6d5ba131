"""Drawing only: images, traversals and plots as pictures."""
