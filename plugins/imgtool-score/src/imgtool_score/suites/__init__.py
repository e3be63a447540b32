"""Benchmarks as data: suites of prompts with questions, runs of them, and what results say.

A suite is a document (`model.py`), whether a file (`files.py`), a published benchmark in a user's
folder (`layouts/`) or a plugin's component of kind `bench-suite` gives it (`find.py`).
"""
