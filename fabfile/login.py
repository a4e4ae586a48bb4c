"""The two ways in: a password, and the token that the server made for itself."""

from __future__ import annotations

import msgspec
from fabric import Connection
from invoke import Exit

from . import jupyter, remote, systemd, wire
from .converge import State, converge, read
from .credentials import ask
from .items import Password, Token
from .output import say
from .settings import load
from .troubles import name_of


def tell(c: Connection, state: State) -> None:
    """Say where JupyterLab is and how to log in; the last lines of `full`."""
    settings = load(c.config)
    token, lines = state.of(Token)
    say(f"\nJupyterLab is at {settings.url}/lab")
    if not settings.secure:
        say("  the password travels in clear, for all on the way to read: lab.tls gives HTTPS")
    if settings.tls == "self-signed":
        say(f"  browsers trust it once they have imported {settings.ca_folder}/ca.pem")
    item, login = state.of(Password)
    if item.shown(login):
        say(f"  log in with the password; with the token: fab -H {name_of(c)} token")
    else:
        secret = token.value(lines)
        say(f"  log in:        {settings.url}/lab?token={secret}")
        say(f"  or with a password of your own: set it at {settings.url}/login, with this token,")
        say(f"  or by:         fab -H {name_of(c)} password")


@remote.task
def token(c):
    """Print the URL that logs in with the server's own token."""
    settings = load(c.config)
    wire.open_connection(c, settings)
    item = Token(path=jupyter.TOKEN)
    _, (lines,) = read(c, [item], settings.user)
    if not item.value(lines):
        raise Exit(f"no token there yet: fab -H {name_of(c)} jupyter makes one")
    say(f"{settings.url}/lab?token={item.value(lines)}")


@remote.task
def password(c):
    """Set the login password, from LAB_PASSWORD or asked for unseen."""
    settings = load(c.config)
    if settings.password is None:
        settings = msgspec.structs.replace(settings, password=ask())
    converge(c, jupyter.items, systemd.items, chosen=settings)
