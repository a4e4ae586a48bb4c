"""JupyterLab behind Nginx on your own Debian server: `fab -H david@1.1.1.1 full`."""

from .ui import ending, bytecode, redact, typed  # isort: skip  (before all else is imported)

from invoke import Collection

from .catalogue import TASKS
from .settings import DEFAULTS, ssh_config

__all__ = ["bytecode", "ending", "ns", "redact", "ssh_config", "typed"]

ns = Collection(*TASKS)
ns.configure(DEFAULTS)
