"""The oldest versions without a known vulnerability; minimum_versions.txt lists them."""

from __future__ import annotations

import functools
from pathlib import Path

from ..items.packages import below, canonical, requirement

DATA = Path(__file__).with_suffix(".txt")
SERVER = "jupyter-server"  # always required, as JupyterLab alone accepts an older one


@functools.cache
def floors() -> dict[str, tuple[str, str]]:
    """Return canonical name -> its requirement, and the vulnerability of older versions."""
    rows = [row.partition("  # ") for row in DATA.read_text().splitlines() if row[:1] not in "# "]
    return {canonical(requirement(text).name): (text, hole) for text, _, hole in rows}


def texts() -> tuple[str, ...]:
    """Return the requirements alone, as constraints for an installer."""
    return tuple(text for text, _ in floors().values())


def holes(there: dict[str, str]) -> list[str]:
    """Return a sentence for each distribution with a vulnerability: its version, and which one.

    :param there: canonical names -> versions.
    """
    names = {text: name for name, (text, _) in floors().items()}
    found = [names[text] for text in below(there, texts())]
    return [f"{name} {there[name]} has a vulnerability, {floors()[name][1]}" for name in found]
