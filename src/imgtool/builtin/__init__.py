"""Stages that come with imgtool itself, registered through the same hooks as everyone's."""
