"""Dask on several servers."""
