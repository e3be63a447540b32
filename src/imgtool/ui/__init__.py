"""Observers and renderings: progress, traces, tables, previews. The engine knows none of them."""
