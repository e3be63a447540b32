"""One HTML page about runs of a store: what is in it, and how it is written."""
