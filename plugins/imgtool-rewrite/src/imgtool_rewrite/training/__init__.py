"""Trains language models to plan pictures in few words: ShortCoTI, arXiv 2510.05593, by GRPO."""
