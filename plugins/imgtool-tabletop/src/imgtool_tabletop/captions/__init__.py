"""What can be said of a scene, and what a sentence says of it."""
