"""Data views: endless examples with their truth, each a function of seed and index alone."""
