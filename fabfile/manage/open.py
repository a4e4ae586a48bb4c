"""JupyterLab in a browser on this machine."""

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

    The URL is printed, too. The browser is that of the variable BROWSER, or the default one. Its
    command line contains the URL: other users of this machine can read it there while the command
    runs.

    :param tunnel: connect through SSH, for a server without a name or an open port: by a port of
        this machine (127.0.0.1 only), until Ctrl-C.
    :param port: with --tunnel: the port on this machine; by default any free one.
    """
    settings = load(c.config)
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
    import webbrowser

    say(url)
    if not webbrowser.open(url):
        say("  note          no browser found here: open that URL yourself, or set BROWSER")


def through(c: Connection, settings: Settings, port: int) -> None:
    """Forward a port of this machine to JupyterLab until Ctrl-C, and open it in a browser."""
    way = Tunnel(c, jupyter.target(settings), port, settings.user)
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
