"""The desired state of a server, as values: each item says how to read the current state, and how
to change it. No item has a connection; `converge` compares, prints and applies.

`read()` calls a function in templates/shell/lib/read.sh. `compare()` gets what that printed and
returns a Change, whose shell calls functions of plan.applying(), or None for an item up to date.
"""

from .absent import Absent, Welcome
from .assets import Assets
from .base import Change, Item, unpacked
from .certificate import Certificate, Given, Issued, key_of
from .cluster import Gone, Identity, Interpreter, Seat, VenvCopy
from .files import Directory, File, Link, Needs, PathItem, decode
from .kernels import Kernelspec, NoOthers, OwnVenv, Python
from .login import Password, Token
from .nginx_include import Included
from .packages import Packages, Venv, below, canonical, few
from .runtime import Live
from .services import Port, Service, Sleeper, moment

__all__ = [
    "Absent", "Assets", "Certificate", "Change", "Directory", "File", "Given", "Gone", "Identity",
    "Included", "Interpreter", "Issued", "Item",
    "Kernelspec", "Link", "Live", "Needs", "NoOthers", "OwnVenv", "Packages", "Password",
    "PathItem", "Port", "Python", "Seat", "Service", "Sleeper", "Token", "Venv", "VenvCopy",
    "Welcome",
    "below", "canonical", "covers", "decode", "few", "key_of", "lasts",
    "moment", "parsed", "unpacked",
]  # fmt: skip
