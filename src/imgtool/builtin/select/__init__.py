"""Stages that keep some rows and drop the others. None needs a model."""
