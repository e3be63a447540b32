"""Published benchmarks as their authors lay them out, read from a user's folder into documents.

Each module has one `read(path)` that gives the document of a suite, and protocols of the paper as
its rule. Judges differ from the papers' own: figures are comparable where judges are the same.
"""
