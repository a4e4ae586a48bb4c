"""Dask on several hosts."""
