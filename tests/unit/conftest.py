"""What a process keeps for a run of `fab`, which is one process each, goes with each test."""

import sys

import pytest


@pytest.fixture(autouse=True)
def forgotten():
    """Forget the private CAs that were found, and where the project is."""
    yield
    if ca := sys.modules.get("fabfile.certs.private_ca"):
        for found in (ca.FOUND, ca.OPENED, ca.SAVED):
            found.clear()
    if layers := sys.modules.get("fabfile.settings.layers"):
        layers.PROJECT[0] = "."
