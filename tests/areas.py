"""Which tests belong together, on which Debian they run, in which order, on which worker."""

import re
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from testbed.areas import AREAS
from testbed.image import BASES

FOLDERS = {Path(__file__).parent / name for name in ("integration", "browser")}
# Begun first, for those that begin last end last.
LONG = [
    *("test_cluster bookworm", "test_docs bookworm", "test_steps bookworm", "test_steps trixie"),
    *("test_tls bookworm", "test_attacks bookworm", "test_audit bookworm", "browser bookworm"),
    *("test_tls_dns bookworm", "test_address_acme bookworm"),
    *("test_backup bookworm", "test_interrupted bookworm", "test_doctor bookworm"),
    *("test_several bookworm", "test_broken_later bookworm", "test_broken bookworm"),
    *("test_odd bookworm", "test_seen_first bookworm", "test_fleet bookworm"),
    *("test_backup_shell", "test_any_bytes"),
]
DEBIAN = re.compile(rf"(?:\[|-)({'|'.join(BASES)})\]$")


def on_servers(node) -> bool:
    """Say whether a test is one of those that need a Docker engine."""
    return bool(FOLDERS & set(node.path.parents))


def releases(config, node) -> list[str]:
    """The Debians on which a test runs: those of its marker `debian`, without one Debian 12."""
    only, marker = config.getoption("debian"), node.get_closest_marker("debian")
    if only:
        return [only]
    return list(marker.args or BASES) if marker else ["bookworm"]


@pytest.hookimpl(trylast=True)  # its name comes last in a test's id
def pytest_generate_tests(metafunc):
    """Run each test that uses a server on the Debians that count."""
    if on_servers(metafunc.definition) and "debian" in metafunc.fixturenames:
        names = releases(metafunc.config, metafunc.definition)
        metafunc.parametrize("debian", names, scope="session", indirect=True)


def group(name: str) -> str:
    """Name, by its id, the tests with which a test shares servers: they run one after the other.

    They are a module on one Debian; the browser's modules share a server.
    """
    path = Path(name.partition("::")[0])
    if path.parent.name == "unit":
        return path.stem
    place = "browser" if path.parent.name == "browser" else path.stem
    debian = DEBIAN.search(name)
    return f"{place} {debian[1] if debian else 'bookworm'}"


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    """Put groups one after the other: those first that take long, those without servers last.

    With --units-first those without servers come first.

    :raises pytest.UsageError: when a test on servers is of no area, or of several.
    """
    for item in filter(on_servers, items):
        mine = [area for area in AREAS if item.get_closest_marker(area)]
        if len(mine) != 1:
            raise pytest.UsageError(f"{item.nodeid}: one marker of {', '.join(AREAS)}, not {mine}")
        item.add_marker(pytest.mark.integration)
    yield
    found = dict.fromkeys(group(item.nodeid) for item in items)
    order = {name: place for place, name in enumerate(dict.fromkeys([*LONG, *found]))}
    on_servers_last = config.getoption("--units-first")
    items.sort(key=lambda item: (
        ("integration" in item.keywords) == on_servers_last, order[group(item.nodeid)]
    ))  # fmt: skip


class ByGroup(LoadScopeScheduling):
    """Gives each worker whole groups."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def pytest_xdist_make_scheduler(config, log):
    """Distribute the tests over the workers, when there are several."""
    return ByGroup(config, log)
