"""Prompt rewriting: templates, language models, negative prompts, weights."""
