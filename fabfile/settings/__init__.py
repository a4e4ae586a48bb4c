"""Settings: fabric.yaml and the environment, read and checked."""

from . import layers  # replaces a method of Fabric's Config
from .loader import DEFAULTS, NAMES, Settings, load, refuse_at_odds, refuse_unknown, within
from .schema import DOMAIN, LETS_ENCRYPT

__all__ = [
    "DEFAULTS",
    "DOMAIN",
    "LETS_ENCRYPT",
    "NAMES",
    "Settings",
    "layers",
    "load",
    "refuse_at_odds",
    "refuse_unknown",
    "within",
]
