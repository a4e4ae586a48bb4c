"""The version of this project: of the wheel, and of `jupyterlab-fab --version`."""

__version__ = "1.0.0"
