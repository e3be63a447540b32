"""Analyses pictures of the tabletop world and proposes captions: a `prompt-agent`, offline."""
