"""Which tests belong together, on which Debian they run, and in which order."""

from pathlib import Path

import pytest

from testbed.areas import AREAS
from testbed.image import BASES

FOLDERS = {Path(__file__).parent / name for name in ("integration", "browser")}
# Begun first, for those that begin last end last.
LONG = ["test_cluster bookworm", "test_docs bookworm"]


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


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item):
    """Name the group whose tests run one after the other, on servers that nobody else has.

    :raises pytest.UsageError: when a test on servers is of no area, or of several.
    """
    if not on_servers(item):
        item.add_marker(pytest.mark.xdist_group(item.path.stem))
        return
    mine = [area for area in AREAS if item.get_closest_marker(area)]
    if len(mine) != 1:
        raise pytest.UsageError(f"{item.nodeid}: one marker of {', '.join(AREAS)}, not {mine}")
    item.add_marker(pytest.mark.integration)
    item.add_marker(pytest.mark.xdist_group(group(item)))


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items):
    """Put groups one after the other: those first that take long, those without servers last."""
    yield
    groups = [item.get_closest_marker("xdist_group").args[0] for item in items]
    first = {name: groups.index(name) for name in set(groups)}
    items[:] = [
        item
        for _, item in sorted(
            zip(groups, items, strict=True),
            key=lambda one: (
                "integration" not in one[1].keywords,
                LONG.index(one[0]) if one[0] in LONG else len(LONG),
                first[one[0]],
            ),
        )
    ]


def group(item) -> str:
    """Name a module on one Debian; the browser's modules share a server for each kind of it."""
    values = item.callspec.params if hasattr(item, "callspec") else {}
    place = f"browser {values['site']}" if "site" in values else item.path.stem
    return f"{place} {values.get('debian', releases(item.config, item)[0])}"
