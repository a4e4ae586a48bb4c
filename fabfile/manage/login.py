"""The two ways to log in: by a password, or by the token that the server made."""

from __future__ import annotations

import msgspec
from fabric import Connection
from invoke import Exit

from .. import jupyter, systemd
from ..certs import ca_page, renewal
from ..engine import consent
from ..engine.actions import carry_out
from ..engine.converge import Reading, converge, read
from ..engine.host import Request
from ..items import Change, Password, Token
from ..script import call
from ..settings import Settings
from ..settings.credentials import ask, weakness
from ..ssh import connection
from ..ssh.errors import fab_on, name_of
from ..ui.console import note, say
from . import service


def tell(c: Connection, settings: Settings, seen: Reading) -> str:
    """Print how to log in, and what is not protected.

    :returns: the line with the address, which logs in unless a password is set.
    """
    say()
    if not settings.secure:
        own = settings.site == "own"
        remedy = "set lab.tls" if own else "set up HTTPS in your site"
        say(f"  warning: no HTTPS; the password is sent unencrypted: {remedy}")
        say("           and browsers give the page no clipboard: paste by keys, not by menus")
        if own:
            from ..certs import auto  # here: with HTTPS none of it is needed

            say(f"  note     lab.tls: auto would give {auto.promise(c, settings)}")
    for other in seen.host.neighbours:
        if other.domain == settings.domain.lower() and other.called != settings.instance.called:
            say(f"  warning: {other.user} uses the same domain; code in those pages can act as you")
    warn_weak(settings)
    fab = fab_on(c)
    if settings.tls == "files" and (why := renewal.warning(seen, settings.tls, fab)):
        say(f"  warning: the certificate: {why}")
    if settings.tls == "self-signed":
        say(f"  browsers trust it after you import {settings.ca_folder}/ca.pem into them; phones "
            f"get it from {ca_page.address(settings)}")  # fmt: skip
    ((token, secret),) = seen.of(Token)
    ((login, known),) = seen.of(Password)
    if c.user == "root":
        fab = f"FABRIC_LAB_USER={settings.user} {fab}"
    if login.shown(known):
        say(f"  log in with the password; with the token: {fab} token")
        return f"JupyterLab is at {settings.url}/lab"
    say(f"  this address logs in; for a password of your own: {fab} password")
    url = f"{settings.url}/lab?token={token.value(secret)}"
    note(login_url=url)
    return f"JupyterLab is at {url}"


def token(c, settings, rotate, yes):
    if rotate:
        renew(c, settings, yes)
        if c.config.run.dry:
            return
    say(address(c, settings))


def address(c: Connection, settings: Settings, site: str = "") -> str:
    """Return the URL that logs in with the token.

    :param site: scheme, host and port, when they are not those of the settings.
    """
    connection.open_connection(c, settings)
    item = Token(path=jupyter.TOKEN)
    (state,) = read(c, [item], settings).states
    secret = item.value(state)
    if not secret:
        raise Exit(f"{name_of(c)} has no token yet: first run {fab_on(c)} full")
    return f"{site or settings.origin}{settings.base_path}/lab?token={secret}"


def renew(c: Connection, settings: Settings, yes: bool) -> None:
    """Make a new token, and end all sessions by removing the secret that signs their cookies.

    With this order, a run that is cut off leaves the old state, or a token that is newer than the
    service; `full` then restarts that.
    """
    host, state, kernels = service.seen(c, settings)
    consent.agree(c, yes, kernels)
    secret, path = host.under(jupyter.cookie_secret(settings, host)), host.under(jupyter.TOKEN)
    changes = [
        Change("end all sessions", call("owner_does", host.user, "rm", "-f", "--", secret)),
        Change("make a new login token", call("put_token", path, host.user, host.group)),
    ]
    if state["state"] == "inactive":
        say(f"  note          JupyterLab stays stopped until: {fab_on(c)} start")
    else:
        changes.append(Change(f"restart {settings.instance.unit}", systemd.start(settings)))
    carry_out(c, host, *changes, whenever=True)


def warn_weak(settings: Settings) -> None:
    """Print a warning when the password that is set is easy to guess."""
    why = weakness(settings.password) if settings.password else ""
    if why:
        say(f"  warning: the password is weak: {why}; a person who guesses it can run any program "
            "as you on the server")  # fmt: skip


def password(c, settings, yes):
    if settings.password is None:
        settings = msgspec.structs.replace(settings, password=ask())
    warn_weak(settings)
    converge(c, settings, jupyter.items, systemd.items, request=Request(yes=yes))
