"""JupyterLab in a browser on this machine."""

from __future__ import annotations

from fabric import Connection
from invoke import Exit

from ..settings import Settings
from ..ssh.tunnel import Tunnel
from ..ui.console import say
from ..ui.machine import browse
from .login import address


def open(c, settings, tunnel, port):
    if port and not tunnel:
        raise Exit("open: --port needs --tunnel: add it, or leave out --port")
    if not 0 <= port <= 65535:
        raise Exit("open: --port takes a number from 1 to 65535")
    if tunnel:
        through(c, settings, port)
    else:
        show(address(c, settings))


def show(url: str) -> None:
    """Print the URL and open it in a browser."""
    say(url)
    if not browse(url):
        say("  note          no browser found here: open that URL yourself, or set BROWSER")


def through(c: Connection, settings: Settings, port: int) -> None:
    """Forward a port of this machine to JupyterLab until Ctrl-C, and open it in a browser."""
    way = Tunnel(c, settings.endpoint, port, settings.user)
    try:
        url = address(c, settings, f"http://localhost:{way.port}")
        way.open().close()  # raises Exit when JupyterLab does not answer
        way.begin()
        say(f"  127.0.0.1:{way.port} is forwarded to JupyterLab until Ctrl-C")
        show(url)
        way.stay()
    except KeyboardInterrupt:
        say("\n  closed: the port is no longer forwarded; JupyterLab keeps running")
    finally:
        way.close()
