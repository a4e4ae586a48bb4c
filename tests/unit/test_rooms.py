"""Who may import whom: the rooms of `fabfile/`, and on which level each is."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from testbed.machine import ROOT

HOUSE = ROOT / "fabfile"
BASE = {"settings", "ui", "render", "script", "web"}
LOW = BASE | {"ssh", "items"}
ENGINE = LOW | {"engine"}
CORE = ENGINE | {"certs", "python"}
# room -> the rooms that it may import from. A step is a room of one module.
MAY = {
    "ui": set(),
    "render": set(),
    "script": {"render"},
    "web": set(),
    "settings": {"ui"},
    "items": {"render", "script", "settings"},
    "ssh": BASE,
    "engine": LOW,
    "certs": ENGINE,
    "python": ENGINE,
    "catalogue": {"engine"},
    # the steps
    "deps": CORE,
    "jupyter": CORE,
    "kernels": CORE | {"jupyter"},
    "hosts": CORE,
    "fail2ban": CORE,
    "nginx": CORE,
    "systemd": CORE | {"jupyter"},
    "tls": CORE | {"nginx"},
    "schedule": CORE | {"backup"},
    "steps": {"deps", "jupyter", "systemd", "tls", "nginx", "fail2ban", "schedule", "kernels"},
    "full": CORE | {"steps", "tls", "hosts", "manage", "verify"},
    "verify": CORE | {"doctor"},
    # the features
    "backup": CORE | {"deps", "jupyter", "nginx"},
    "status": CORE | {"steps", "jupyter", "tls"},
    "doctor": CORE | {"status", "jupyter"},
    "manage": CORE | {"status", "jupyter", "systemd", "steps", "tls"},
    "uninstall": CORE | {"hosts", "jupyter", "nginx", "fail2ban"},
    "fleet": CORE | {"catalogue"},
    "cluster": CORE | {"fleet", "manage", "uninstall", "jupyter", "nginx", "systemd"},
    "version": set(),
    "program": {"__init__", "python", "settings", "version"},
    "__init__": {"catalogue", "settings", "ui"},
}
LEVELS = 13


def modules() -> dict[str, Path]:
    """Return the modules of the product by their dotted names; a package is called by its own."""
    paths = {path.relative_to(HOUSE).with_suffix(""): path for path in HOUSE.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}


MODULES = modules()


def room(module: str) -> str:
    """Return the room of a module: its package, or itself."""
    return module.partition(".")[0]


@cache
def parsed(path: Path) -> ast.Module:
    """Parse a module once, for all tests here."""
    return ast.parse(path.read_text())


def imported(module: str, late: bool = False) -> Iterator[str]:
    """Yield the modules of the product that one imports.

    :param late: those in functions instead of those at its top.
    """
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    package = [] if module == "__init__" else package
    tree = parsed(path)
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level or (id(node) in top) == late:
            continue
        base = package[: len(package) + 1 - node.level]
        source = ".".join([*base, *filter(None, [node.module])])
        for alias in node.names:
            whole = f"{source}.{alias.name}".lstrip(".")
            yield whole if whole in MODULES else source or "__init__"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_rooms_that_the_table_allows(module):
    here = room(module)
    wrong = {room(other) for other in imported(module)} - MAY[here] - {here}
    assert wrong == set(), f"{module} imports from {wrong}"


@pytest.mark.parametrize("module", MODULES)
def test_an_import_in_a_function_is_for_speed_and_hides_no_circle(module):
    """A late import of the product's own follows the table, too."""
    here = room(module)
    assert {room(other) for other in imported(module, late=True)} <= MAY[here] | {here}


def levels(edges: dict[str, set[str]]) -> dict[str, int]:
    """Return the level of each node, the lowest being 1.

    :raises RecursionError: for a circle.
    """
    found: dict[str, int] = {}

    def level(node: str, above: tuple[str, ...] = ()) -> int:
        if node in above:
            raise RecursionError(" -> ".join([*above, node]))
        if node not in found:
            below = edges[node] - {node}
            found[node] = 1 + max((level(one, (*above, node)) for one in below), default=0)
        return found[node]

    for node in edges:
        level(node)
    return found


def test_rooms_are_on_thirteen_levels_at_most_and_in_no_circle():
    edges: dict[str, set[str]] = {room(module): set() for module in MODULES}
    for module in MODULES:
        edges[room(module)] |= {room(m) for late in (0, 1) for m in imported(module, bool(late))}
    assert max(levels(edges).values()) <= LEVELS


def test_modules_import_each_other_in_no_circle():
    levels({module: set(imported(module)) for module in MODULES})


def test_every_room_has_a_line_in_the_table():
    assert {room(module) for module in MODULES} == set(MAY)
