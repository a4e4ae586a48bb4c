"""JupyterLab in the browser of whoever sits here."""

from __future__ import annotations

from fabric import Connection
from invoke import Exit

from .. import jupyter
from ..engine.task import task
from ..settings import Settings, load
from ..ssh.tunnel import Tunnel
from ..ui.console import say
from .login import address


@task
def open(c, tunnel=False, port=0):
    """Open JupyterLab in your browser, logged in by the token.

    It prints the URL, too. The browser is the one of the variable BROWSER, or the usual one. Its
    command line holds the URL, where other users of this machine could read it as long as the
    command runs.

    :param tunnel: come through SSH, for a server without a name or an open port: by a port of this
        machine, 127.0.0.1 alone, until Ctrl-C.
    :param port: with --tunnel: the port here; without it one that is free.
    """
    settings = load(c.config)
    if port and not tunnel:
        raise Exit("open: --port goes with --tunnel")
    if not 0 <= port <= 65535:
        raise Exit("open: --port takes a number from 1 to 65535")
    if tunnel:
        through(c, settings, port)
    else:
        show(address(c, settings))


def show(url: str) -> None:
    """Print the URL, and open it in a browser."""
    import webbrowser

    say(url)
    if not webbrowser.open(url):
        say("  note          no browser was found here: open that URL yourself, or set BROWSER")


def through(c: Connection, settings: Settings, port: int) -> None:
    """Lead a port of this machine to JupyterLab, open it there, and stay."""
    way = Tunnel(c, jupyter.target(settings), port, settings.user)
    try:
        url = address(c, settings, f"http://localhost:{way.port}")
        way.open().close()  # is anybody there?
        way.begin()
        say(f"  127.0.0.1:{way.port} leads to JupyterLab over there, until Ctrl-C")
        show(url)
        way.stay()
    except KeyboardInterrupt:
        say("\n  closed: that port leads nowhere any more; JupyterLab goes on running")
    finally:
        way.close()
