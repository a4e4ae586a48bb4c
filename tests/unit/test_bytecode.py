"""Python keeps the package compiled, unless somebody told it not to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.machine import ROOT

FAB = Path(sys.executable).parent / "fab"


@pytest.mark.parametrize(("env", "kept"), [({}, True), ({"PYTHONDONTWRITEBYTECODE": "1"}, False)])
def test_a_run_leaves_the_package_compiled(tmp_path, env, kept):
    for name in ("fabfile", "templates"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc"))
    clean = {n: v for n, v in os.environ.items() if not n.startswith("PYTHON")}
    subprocess.run([FAB, "--list"], cwd=tmp_path, env=clean | env, check=True, capture_output=True)
    assert bool(list(tmp_path.glob("fabfile/__pycache__/catalogue.*.pyc"))) is kept
