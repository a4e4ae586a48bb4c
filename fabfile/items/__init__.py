"""The desired state of a server, as values: each item says how to read the current state, and how
to change it. No item has a connection; `converge` compares, prints and applies.

`read()` calls a function in templates/shell/lib/read.sh. `parse()` turns the lines that it printed
into a state, once for each reading. `compare()` gets that and returns a Change, whose shell calls
functions of plan.applying(), or None for an item up to date.
"""

from .absent import Absent, Welcome
from .assets import Assets
from .base import Change, Item
from .certificate import Certbot, Certificate, Given, Issued
from .cluster import Gone, Identity, Interpreter, Seat, VenvCopy
from .credentials import Credentials
from .files import Directory, File, Link, Needs, PathItem
from .kernels import Kernelspec, NoOthers, OwnVenv, Python
from .login import Password, Token
from .nginx_include import Included, Obstacle
from .packages import Packages, Venv
from .runtime import Live
from .services import Port, ServerExtensions, Service, Sleeper
