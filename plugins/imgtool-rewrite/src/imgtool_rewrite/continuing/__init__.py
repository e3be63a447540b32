"""Prompts continued by a causal language model: words of a list, or a rephrasing."""
