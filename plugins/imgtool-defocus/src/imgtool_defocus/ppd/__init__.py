"""Pixel-Perfect Depth (Xu et al. 2025, arXiv 2510.07316): depth by a flow in pixels."""
