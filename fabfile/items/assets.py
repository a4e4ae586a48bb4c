"""JupyterLab's static files, compressed for Nginx."""

from __future__ import annotations

from dataclasses import dataclass

from ..script import call, look
from .base import Change, Item


@dataclass(frozen=True, kw_only=True)
class Assets(Item):
    """Copies of the files of a venv whose names contain their hash, in `assets` of a folder.

    Such a file never changes, so an old folder does no harm: JupyterLab serves what it lacks.

    :param previous: the venv before the last upgrade; its files stay, for pages that are open.
    :param core: paths that change with the version of JupyterLab, and so with its files.
    """

    path: str
    venv: str
    previous: str
    owner: str
    home: str
    core: tuple[str, ...] = ()
    theirs = True

    def read(self) -> str:
        return look("show_assets", self.path, self.venv)

    def compare(self, state, touched):
        fresh = state == "fresh" and not touched & set(self.core)
        return None if fresh else self.change()

    def change(self) -> Change:
        """Return the change that fills the folder, in a second or two."""
        fix = call("fill_assets", self.path, self.venv, self.previous, self.owner, self.home)
        return Change("compress JupyterLab's pages for Nginx", fix, needs=self.needs, room=20)
