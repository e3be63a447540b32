"""Measures of whole sets of pictures: FID, KID, and FID of patches and of reconstructions."""
