"""Scores of pictures: agreement with the prompt, preference, looks, fidelity to a reference."""
