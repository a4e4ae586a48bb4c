"""bootstrap installs what deploying needs, and no tool of the tests."""

import ast
import re
import sys
from importlib.metadata import packages_distributions

from testbed.machine import ROOT

BOOTSTRAP = (ROOT / "bootstrap").read_text()
REQUIREMENTS = (ROOT / "requirements.txt").read_text()


def imported(folder: str) -> set[str]:
    """Return the names of the packages that the modules of a folder import."""
    trees = [ast.walk(ast.parse(path.read_text())) for path in (ROOT / folder).rglob("*.py")]
    names = [
        name
        for tree in trees
        for node in tree
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom) and node.level == 0
            else []
        )
    ]
    return {name.partition(".")[0] for name in names}


def test_it_installs_what_deploying_and_the_demo_import():
    (heading,) = re.findall(r"sed '/\^(.+)/,\$d' requirements.txt", BOOTSTRAP)
    deploying, heading, testing = REQUIREMENTS.partition(f"{heading}\n")
    assert heading and "pytest" in testing and "pytest" not in deploying
    ours = {"fabfile", "testbed"}
    packages = packages_distributions()
    for name in imported("fabfile") | imported("testbed") - ours:
        if name not in sys.stdlib_module_names and name not in ours:
            assert any(re.search(rf"(?mi)^{d}\W", deploying) for d in packages[name]), name
