"""PocketSR (arXiv 2510.03012): one diffusion step between a light encoder and decoder."""
