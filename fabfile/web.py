"""HTTP requests from this machine, each within a time."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading

PATIENCE = 30  # seconds to answer: a sleeping JupyterLab has to wake up first


def ask(wire: http.client.HTTPConnection, path: str, headers: dict[str, str]):
    """Ask for a page and return the answer; it is cut off after PATIENCE seconds."""
    with limited(wire, PATIENCE):
        wire.request("GET", path, headers=headers)
        return wire.getresponse()


@contextlib.contextmanager
def limited(wire: http.client.HTTPConnection, seconds: float):
    """Close a connection after some seconds in total; a socket's own timeout is one per read.

    Otherwise a server that sends `100 Continue` or single bytes for ever would block us.
    """
    line = wire.sock  # the response takes it over

    def end() -> None:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
