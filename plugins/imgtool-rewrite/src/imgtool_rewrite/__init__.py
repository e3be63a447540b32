"""Prompt rewriting: templates."""
