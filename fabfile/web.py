"""HTTP requests from this machine, each within a time."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import threading

SECONDS = 5  # to connect
PATIENCE = 30  # seconds to answer: a sleeping JupyterLab has to wake up first
MACOS_CAS = "/etc/ssl/cert.pem"
ERRORS = OSError, http.client.HTTPException  # of a connection, and of an answer


def connected(address: str, port: int, context=None, name: str = "") -> http.client.HTTPConnection:
    """Connect to an address.

    :param context: the ssl.SSLContext for TLS under this name; None for no TLS.
    """
    wire = http.client.HTTPConnection(address, port, timeout=SECONDS)
    wire.connect()
    if context:
        wire.sock = context.wrap_socket(wire.sock, server_hostname=name)
    wire.sock.settimeout(PATIENCE)
    return wire


def any_certificate() -> ssl.SSLContext:
    """Return a context for TLS that accepts any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def system_trust() -> ssl.SSLContext:
    """Return a context that trusts the CAs of the system.

    On macOS the Python of python.org has none until its user installs some; the system has a file.
    """
    context, paths = ssl.create_default_context(), ssl.get_default_verify_paths()
    if not (paths.cafile or paths.capath) and os.path.exists(MACOS_CAS):
        context.load_verify_locations(MACOS_CAS)
    return context


@contextlib.contextmanager
def answer(wire: http.client.HTTPConnection, path: str, headers: dict[str, str]):
    """Ask for a page and yield the answer; the connection ends then, or after PATIENCE seconds.

    A socket's own timeout is one per read: without another, a server that sends `100 Continue` or
    single bytes for ever would block us.
    """
    line = wire.sock  # the response takes it over

    def end() -> None:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(PATIENCE, end)
    timer.daemon = True
    timer.start()
    try:
        wire.request("GET", path, headers=headers)
        yield wire.getresponse()
    finally:
        timer.cancel()
        wire.close()
