"""Short plans for pictures: ShortCoTI, arXiv 2510.05593, without training."""
