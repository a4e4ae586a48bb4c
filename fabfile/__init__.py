"""JupyterLab behind Nginx on your own Debian server: `fab -H david@1.1.1.1 full`."""

from invoke import Collection

from . import broken as broken
from . import bytecode as bytecode
from . import hush as hush
from .catalogue import ALONE, FLEET
from .fleet import fleet
from .settings import DEFAULTS

ns = Collection(*FLEET, *ALONE, fleet)
ns.configure(DEFAULTS)
