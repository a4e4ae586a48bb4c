"""Settings: fabric.yaml and the environment, read and checked."""

from . import layers  # replaces a method of Fabric's Config
from .loader import DEFAULTS, NAMES, Settings, load, refuse_unknown, within

__all__ = ["DEFAULTS", "NAMES", "Settings", "layers", "load", "refuse_unknown", "within"]
