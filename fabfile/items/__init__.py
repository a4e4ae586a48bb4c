"""What a server should look like, as values: each item says what it wants, how to read what is
there, and how to bring it about. No item has a connection; `converge` compares, prints and applies.

`read()` is a call of a function in templates/shell/lib/read.sh, `compare()` gets what it printed
and returns a Change (None when all is as wanted) whose shell calls a function of plan.applying().
"""

from .absent import Absent, Welcome
from .assets import Assets
from .base import Change, Item, assigned, call, here, look, quote, unpacked
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
    "assigned", "below", "call", "canonical", "covers", "decode", "few", "here", "key_of", "lasts",
    "look", "moment", "parsed", "quote", "unpacked",
]  # fmt: skip
