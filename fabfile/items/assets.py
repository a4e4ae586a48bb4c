"""JupyterLab's pages, compressed where Nginx finds them."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Change, Item, call, look


@dataclass(frozen=True, kw_only=True)
class Assets(Item):
    """The files of a venv whose names carry the hash of what is in them, in `assets` of a folder.

    A name that is there is right for ever, so nothing depends on how fresh the folder is: what it
    lacks, JupyterLab answers itself.

    :param previous: the venv before, whose files stay, for pages that are open.
    :param core: paths that say which JupyterLab it is; when they are new, so are its pages.
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

    def compare(self, lines, touched):
        if lines == ["fresh"] and not touched & set(self.core):
            return None
        return self.change()

    def change(self) -> Change:
        """Fill the folder; it takes a second or two."""
        fix = call("fill_assets", self.path, self.venv, self.previous, self.owner, self.home)
        return Change("compress JupyterLab's pages for Nginx", fix, needs=self.needs, room=20)
