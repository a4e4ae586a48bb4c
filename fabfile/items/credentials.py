"""Credentials for a program that root runs: a file of this machine, which nobody reads back."""

from __future__ import annotations

from dataclasses import dataclass

from ..script import call, look
from ..settings.credentials import Secret, fits, hash_password
from .certificate import Signing
from .files import PathItem, PathState


@dataclass(frozen=True, kw_only=True)
class Credentials(PathItem):
    """A secret text that only root reads; a slow hash of it, beside it, tells whether it is there.

    :param setting: where it comes from, for the operator.
    """

    mode: str = "0600"
    secret: Secret
    setting: str

    @property
    def stamp(self) -> str:
        """The path of its hash, which everybody may read."""
        return f"{self.path}.hash"

    @property
    def paths(self):
        return self.path, self.stamp

    def read(self):
        return f"{look('show_rights', self.path)}\n{look('show_path', self.stamp)}"

    def parse(self, lines) -> tuple[PathState, PathState]:
        return PathState.parse(lines[:1]), PathState.parse(lines[1:])

    def compare(self, state, touched):
        there, stamp = state
        whole = there.rights == self.rights and stamp.rights == (*self.rights[:2], "0644")
        if whole and fits(self.secret, (stamp.text or "").strip()):
            return None
        say = f"put {self.setting} into {self.path}"
        return Signing(say, "", (self.path,), needs=self.needs, fix=self.placed)

    def placed(self) -> str:
        """Return the calls that write both; a run that ends between them is noticed."""
        text, hashed = self.secret.reveal(), hash_password(self.secret)
        stamp = call("put_file", self.stamp, *self.rights[:2], "0644", text=hashed)
        key = call("put_file", self.path, *self.rights, text=text)
        return "\n".join([call("doubt", self.stamp), key, stamp])
