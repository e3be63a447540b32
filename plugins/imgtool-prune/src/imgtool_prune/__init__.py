"""One-shot pruning of text-to-image models: OBS-Diff and its rivals."""
