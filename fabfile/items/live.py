"""How what runs is doing: only looked at; nothing is wanted of it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..render import shell
from .base import Item, here, look


@dataclass(frozen=True, kw_only=True)
class Live(Item):
    """JupyterLab as it runs, its kernels, and the disk; told by the server's own Python, if any.

    :param target: the path of its socket, or its port.
    :param token: the file of the token, which JupyterLab itself is asked with.
    :param newest: ask the package index, too, which versions are to be had.
    """

    target: str
    unit: str
    token: str
    project: str
    venv: str
    newest: bool = True
    theirs = True

    def read(self) -> str:
        told = self.target, self.unit, self.token, self.venv, "newest" if self.newest else "no"
        asked = f"{look('show_live', *told)} {here(shell('status.py'))}"
        return f"{look('show_disk', self.project)}\n{asked}"

    def compare(self, lines, touched):
        return None

    def disk(self, lines: list[str]) -> dict | None:
        """Bytes that are free and in all, and where."""
        words = lines[0].split(None, 2) if lines else []
        if len(words) < 3 or not words[0].isdigit():
            return None
        return {"path": words[2], "free": int(words[0]), "total": int(words[1])}

    def told(self, lines: list[str]) -> dict:
        """What Python found; nothing where there is none."""
        answer = next((line for line in lines[1:] if line.startswith("{")), "{}")
        return json.loads(answer)
