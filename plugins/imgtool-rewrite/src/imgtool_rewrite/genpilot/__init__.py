"""GenPilot, arXiv 2510.07217: find what a picture got wrong, and search for words that help."""
