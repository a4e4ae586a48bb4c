"""The SSH connection: opened with a checked host key, kept alive, through jump hosts."""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import sys
import time

import msgspec
from fabric import Connection
from invoke import Exit

from ..settings import Settings
from . import host_keys
from .errors import clear_errors, nobody_yet

SILENCE = 30  # seconds without an acknowledged packet until the connection counts as lost
ABSENT = errno.EHOSTUNREACH, errno.EHOSTDOWN  # macOS says the latter in a network of its own
BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+(?:%\w+)?)\](?::(\d+))?")  # an IPv6 address, RFC 3986
TCP_RXT_CONNDROPTIME = 0x80  # the same option of macOS, <netinet/tcp.h>
PENALTY = 5  # seconds between two refused logins: OpenSSH 9.8 blocks an address that is faster


def open_connection(c: Connection, settings: Settings) -> None:
    """Connect, unless connected: checked host key, no Nagle delay, a dead peer is noticed.

    A jump host is connected to first, in the same way, so that its host key is checked, too.

    :raises Exit: for a host key that is not accepted.
    """
    if c.is_connected:
        return
    import logging

    logging.getLogger("paramiko").addHandler(logging.NullHandler())  # no tracebacks
    if not c.host:
        raise Exit("-H has a user but no host: write both, such as -H david@1.1.1.1")
    if bracketed := BRACKETED.fullmatch(c.host):  # Fabric leaves brackets and port where they are
        c.host, c.port = bracketed[1], int(bracketed[2] or c.port)
        c.original_host = f"[{c.host}]"
    if isinstance(c.gateway, Connection):
        known = "strict" if settings.host_key.startswith("SHA256:") else settings.host_key
        with clear_errors(c.gateway):  # a pinned key is that of the server only
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
    """Check whether an error fits a host that boots: sshd is not there yet, or not ready."""
    absent = getattr(problem, "errno", None) in ABSENT
    refused = isinstance(problem, ConnectionRefusedError | TimeoutError | EOFError)
    return absent or refused or "banner" in str(problem)


class Wire(socket.socket):
    """A socket that acknowledges at once: sshd waits for that, as Nagle's algorithm is on there."""

    def recv(self, *arguments) -> bytes:
        data = super().recv(*arguments)
        if hasattr(socket, "TCP_QUICKACK"):  # Linux resets it with each packet, tcp(7)
            self.prefer(socket.TCP_QUICKACK, 1)
        return data

    def prefer(self, option: int, value: int) -> None:
        """Set an option of TCP, unless this system refuses it, as that of WSL 1 may."""
        with contextlib.suppress(OSError):
            self.setsockopt(socket.IPPROTO_TCP, option, value)


def dial(c: Connection, timeout: float) -> socket.socket:
    """Open the TCP connection, IPv4 or IPv6."""
    wire = Wire(fileno=socket.create_connection((c.host, c.port), timeout).detach())
    wire.settimeout(timeout)
    wire.prefer(socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        wire.prefer(socket.TCP_USER_TIMEOUT, SILENCE * 1000)
    elif sys.platform == "darwin":
        wire.prefer(TCP_RXT_CONNDROPTIME, SILENCE)
    return wire


@contextlib.contextmanager
def known_as(c: Connection, alias: str | None):
    """Make Paramiko look up the host key by HostKeyAlias; the socket is open already."""
    host, port, gateway = c.host, c.port, c.gateway
    c.gateway = None
    if alias:
        c.host, c.port = alias, 22
    try:
        yield
    finally:
        c.host, c.port, c.gateway = host, port, gateway


def peer_address(c: Connection) -> str:
    """Return the IP address of the server; "" behind a gateway, where it is unknown."""
    return "" if c.gateway else c.transport.getpeername()[0]
