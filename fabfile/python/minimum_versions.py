"""The oldest versions without a known hole; which ones, and why, is data: minimum_versions.txt."""

from __future__ import annotations

import functools
from pathlib import Path

from ..items import below, canonical

DATA = Path(__file__).with_suffix(".txt")
SERVER = "jupyter-server"  # never left to what others ask for: JupyterLab alone takes an older one


@functools.cache
def floors() -> dict[str, tuple[str, str]]:
    """Canonical name of a distribution -> the requirement that it must meet, and the hole else."""
    from packaging.requirements import Requirement

    rows = [row.partition("  # ") for row in DATA.read_text().splitlines() if row[:1] not in "# "]
    return {canonical(Requirement(text).name): (text, hole) for text, _, hole in rows}


def texts() -> tuple[str, ...]:
    """The requirements alone, as constraints for an installer."""
    return tuple(text for text, _ in floors().values())


def holes(there: dict[str, str]) -> list[str]:
    """A sentence for each distribution with a known hole: its version, and what the hole is.

    :param there: canonical names -> versions.
    """
    names = {text: name for name, (text, _) in floors().items()}
    found = [names[text] for text in below(there, texts())]
    return [f"{name} {there[name]} has a known hole, {floors()[name][1]}" for name in found]
