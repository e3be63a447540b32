"""The store: a build cache in plain Zarr v3."""

from imgtool.store.store import Store

__all__ = ["Store"]
