"""The two ways in: a password, and the token that the server made for itself."""

from __future__ import annotations

import msgspec
from fabric import Connection
from invoke import Exit

from .. import jupyter, systemd
from ..engine.actions import carry_out
from ..engine.converge import State, converge, read
from ..engine.task import task
from ..items import Change, Password, Token, call
from ..settings import Settings, load
from ..settings.credentials import ask
from ..ssh import connection
from ..ssh.errors import name_of
from ..ui.console import say
from . import service


def tell(c: Connection, state: State) -> None:
    """Say where JupyterLab is and how to log in; the last lines of `full`."""
    settings = load(c.config)
    token, lines = state.of(Token)
    say(f"\nJupyterLab is at {settings.url}/lab")
    if not settings.secure:
        remedy = "lab.tls gives HTTPS" if settings.site == "own" else "give that site HTTPS"
        say(f"  the password travels in clear, for all on the way to read: {remedy}")
    for other in state.host.neighbours:
        if other.domain == settings.domain.lower() and other.called != settings.instance.called:
            say(f"  {other.user}'s pages are of the same site: what runs in them acts as you, too")
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


@task
def token(c, rotate=False, yes=False):
    """Print the URL that logs in with the server's own token.

    :param rotate: make a new token, end every session, by password, too, and start JupyterLab
        again: running kernels end.
    :param yes: with --rotate: do not ask, even when a kernel is computing.
    """
    settings = load(c.config)
    if rotate:
        renew(c, settings, yes)
        if c.config.run.dry:
            return
    say(address(c, settings))


def address(c: Connection, settings: Settings, site: str = "") -> str:
    """The URL that logs in with the token.

    :param site: where it is to be reached, when that is not by its name.
    """
    connection.open_connection(c, settings)
    item = Token(path=jupyter.TOKEN)
    _, (lines,) = read(c, [item], settings)
    if not item.value(lines):
        raise Exit(f"no token there yet: fab -H {name_of(c)} jupyter makes one")
    return f"{site or settings.origin}{settings.base_path}/lab?token={item.value(lines)}"


def renew(c: Connection, settings: Settings, yes: bool) -> None:
    """Make a new token, and end all sessions: their cookies are signed with what goes away here.

    In this order a run that is cut off leaves what was, or a token that is newer than the service,
    which `full` starts again.
    """
    host, state, kernels = service.seen(c, settings)
    if not c.config.run.dry:
        service.consent(kernels, yes)
    secret, path = host.under(jupyter.cookie_secret(settings, host)), host.under(jupyter.TOKEN)
    changes = [
        Change("end all sessions", call("owner_does", host.user, "rm", "-f", "--", secret)),
        Change("make a new login token", call("put_token", path, host.user, host.group)),
    ]
    if state["state"] == "inactive":
        say(f"  note          JupyterLab is stopped, and stays so: fab -H {name_of(c)} start")
    else:
        changes.append(Change(f"restart {settings.instance.unit}", systemd.start(settings)))
    carry_out(c, host, *changes, whenever=True)


@task
def password(c):
    """Set the login password, from LAB_PASSWORD or asked for unseen."""
    settings = load(c.config)
    if settings.password is None:
        settings = msgspec.structs.replace(settings, password=ask())
    converge(c, jupyter.items, systemd.items, chosen=settings)
