"""Images of servers that got so far, each made once in a run, whichever worker is first."""

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


class Snapshots:
    """Images that all workers of a run share.

    :param folder: theirs; it has a file for each image.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def take(self, name: str, make: Callable[[str], None]) -> str:
        """Return an image's name, once somebody has made it.

        :param make: makes it, given the name; others wait meanwhile.
        """
        image = f"jupyterlab-testbed:{name}-{self.folder.parent.name}"
        file = self.folder / name
        with file.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not file.read_text():  # nobody has made it while we waited
                make(image)
                lock.write(image)
        return image

    def remove(self) -> None:
        """Remove those that were made."""
        made = [image for file in self.folder.glob("*") if (image := file.read_text())]
        if made:
            subprocess.run(["docker", "image", "rm", "--force", *made], capture_output=True)


def shared(config) -> Path:
    """The folder that all workers of this run share."""
    base = config._tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "snapshots"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def snapshots(pytestconfig) -> Snapshots:
    """The images of this run."""
    return Snapshots(shared(pytestconfig))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Remove this run's images, once every worker has ended."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        Snapshots(shared(session.config)).remove()
