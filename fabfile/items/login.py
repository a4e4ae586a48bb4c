"""The login token, and the password's hash."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from invoke import Exit

from ..script import call
from ..settings.credentials import Secret, fits, hash_password
from .base import Change
from .files import PathItem, PathState

OLDER = "ServerApp", "PasswordIdentityProvider"  # sections in which Jupyter accepts a password, too


@dataclass(frozen=True, kw_only=True)
class Token(PathItem):
    """A login token, generated on the server once and then kept."""

    mode: str = "0600"

    def compare(self, state, touched):
        token = self.value(state)
        if not token:
            fix = call("put_token", self.path, self.owner, self.group)
            return Change("make a login token", fix, (self.path,))
        if token != state.text:  # Jupyter would read the newline as part of it
            fix = call("trim_token", self.path, self.owner, self.group)
            return Change("remove the blanks around the login token", fix, (self.path,))
        return None if state.rights == self.rights else self.set_rights()

    @staticmethod
    def value(state: PathState) -> str:
        """Return the token; empty when it could forge a line of our output."""
        found = (state.text or "").strip()
        return found if re.fullmatch("[!-~]{1,500}", found) else ""


@dataclass(frozen=True, kw_only=True)
class Password(PathItem):
    """The password's hash, in the file that the login page writes, too.

    :param password: the one to set; None keeps the current one.
    :param stamp: a file that the service reads, touched first: when the run dies in between, the
        service is older than that file, and the next run restarts it.
    """

    mode: str = "0600"
    password: Secret | None = None
    stamp: str

    def compare(self, state, touched):
        if state.text is None and state.kind == "file":
            raise Exit(f"{self.path} cannot be read by {self.owner}: correct its permissions first")
        config = settings_in(state.text or "{}")
        if config is None:
            raise Exit(f"{self.path} is not valid JSON: correct it or move it away first")
        there = config.setdefault("IdentityProvider", {}).get("hashed_password") or ""
        if self.password is None or fits(self.password, there):
            well = state.kind != "file" or state.rights == self.rights
            return None if well else self.set_rights()
        config["IdentityProvider"]["hashed_password"] = hash_password(self.password)
        for older in OLDER:
            for name in ("hashed_password", "password"):
                config.get(older, {}).pop(name, None)
        text = json.dumps(config, indent=2) + "\n"
        touch = call("touch_as", self.owner, self.stamp)
        fix = call("put_file", self.path, *self.rights, text=text)
        return Change("set the password", f"{touch}\n{fix}", (self.stamp,))

    def shown(self, state):
        return "password" if "hashed_password" in (state.text or "") else ""


def settings_in(text: str) -> dict | None:
    """Return Jupyter's settings; None for a shape that Jupyter does not read."""
    try:
        config = json.loads(text)
        json.dumps(config, indent=2)  # deep nesting can be read, but not be written
    except (ValueError, RecursionError):
        return None
    if not isinstance(config, dict):
        return None
    config = {name: value for name, value in config.items() if value is not None}
    parts = (config.get(name, {}) for name in ("IdentityProvider", *OLDER))
    return config if all(isinstance(part, dict) for part in parts) else None
