"""Depth of field by a thin lens, from a sharp picture and its depth."""
