"""The connection itself: opened well, alive, and through jump hosts."""

from __future__ import annotations

import contextlib
import errno
import socket
import time

import msgspec
from fabric import Connection
from invoke import Exit

from ..settings import Settings
from . import host_keys
from .errors import clear_errors, nobody_yet

SILENCE = 30  # seconds without an acknowledged packet until a connection counts as lost
PENALTY = 5  # seconds between two that OpenSSH 9.8 turns away, or it no longer greets us


def open_connection(c: Connection, settings: Settings) -> None:
    """Connect, unless connected: host key checked, no Nagle delay, a dead peer noticed.

    A jump host is opened the same way first, so that its key is checked, too.

    :raises Exit: for an unknown host key that is not accepted.
    """
    if c.is_connected:
        return
    import logging

    logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its tracebacks are not ours
    if not c.host:
        raise Exit("no host is named: write it after the user, such as -H david@1.1.1.1")
    if isinstance(c.gateway, Connection):
        known = "strict" if settings.host_key.startswith("SHA256:") else settings.host_key
        with clear_errors(c.gateway):  # a pinned key is the server's, not the jump host's
            open_connection(c.gateway, msgspec.structs.replace(settings, host_key=known))
    host_keys.check_with(c, settings)
    timeout = c.connect_timeout or c.connect_kwargs.get("timeout") or settings.connect_timeout
    c.connect_kwargs.setdefault("banner_timeout", timeout)
    end = time.monotonic() + settings.boot_wait
    while True:
        try:
            c.connect_kwargs["sock"] = c.open_gateway() if c.gateway else dial(c, timeout)
            with known_as(c, c.ssh_config.get("hostkeyalias")):
                c.open()
            break
        except Exception as problem:
            shut = nobody_yet(c)
            if not (booting(problem) or shut) or time.monotonic() > end:
                raise
            time.sleep(PENALTY if shut else 0.5)
    c.transport.set_keepalive(SILENCE // 3)


def booting(problem: Exception) -> bool:
    """Whether a host that starts would look like this: no sshd yet, or one that is not ready."""
    absent = getattr(problem, "errno", None) == errno.EHOSTUNREACH
    refused = isinstance(problem, ConnectionRefusedError | TimeoutError | EOFError)
    return absent or refused or "banner" in str(problem)


class Wire(socket.socket):
    """A socket that acknowledges at once: sshd, on which Nagle's algorithm is on, waits for it."""

    def recv(self, *arguments) -> bytes:
        data = super().recv(*arguments)
        if hasattr(socket, "TCP_QUICKACK"):  # it holds until the next packet, as Linux has it
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data


def dial(c: Connection, timeout: float) -> socket.socket:
    """Make the TCP connection, IPv4 or IPv6."""
    wire = Wire(fileno=socket.create_connection((c.host, c.port), timeout).detach())
    wire.settimeout(timeout)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE * 1000)
    return wire


@contextlib.contextmanager
def known_as(c: Connection, alias: str | None):
    """Let Paramiko look the host key up under HostKeyAlias; the socket is there already."""
    host, port, gateway = c.host, c.port, c.gateway
    c.gateway = None
    if alias:
        c.host, c.port = alias, 22
    try:
        yield
    finally:
        c.host, c.port, c.gateway = host, port, gateway


def peer_address(c: Connection) -> str:
    """The IP that the connection goes to; empty behind a gateway, where nobody here knows it."""
    return "" if c.gateway else c.transport.getpeername()[0]
