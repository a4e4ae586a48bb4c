"""The Debian packages that JupyterLab needs: Python with venv and pip, and Node.js.

Owns no file.
"""

from .engine.converge import converge
from .engine.host import Host
from .items import Item, Packages
from .settings import Settings

PACKAGES = ("python3", "python3-venv", "python3-pip", "nodejs", "curl", "ca-certificates")


def items(settings: Settings, host: Host) -> list[Item]:
    """Return one list of packages; `converge` installs first what the next step needs."""
    return [
        Packages(
            step="deps",
            names=tuple(dict.fromkeys((*PACKAGES, *settings.system_packages))),
            recommends=settings.recommends,
            show=("python3", "python3-pip", "nodejs"),
        )
    ]


def deps(c, settings):
    converge(c, settings, items)
