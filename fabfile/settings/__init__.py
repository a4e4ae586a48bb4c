"""Settings: fabric.yaml and the environment, read and checked."""

from .loader import DEFAULTS, NAMES, Settings, load, refuse_unknown, within

__all__ = ["DEFAULTS", "NAMES", "Settings", "load", "refuse_unknown", "within"]
