"""The connection: to every host of a task, opened well, its failures told in one line."""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import re
import socket
import time

import fabric
import msgspec
from fabric import Connection
from invoke import Exit

from . import hostkeys
from .settings import Settings

SILENCE = 30  # seconds without an acknowledged packet until a connection counts as lost


def task(body):
    """Make a Fabric task that needs a server; its body runs once a host, errors told clearly."""

    @functools.wraps(body)
    def on_each_host(c, *args, **kwargs):
        each_host(c, lambda connection: body(connection, *args, **kwargs), body.__name__)

    return local_task(on_each_host)


def local_task(body):
    """Make a Fabric task that brings its own hosts, or needs none; `:param x:` becomes its help."""
    text, *rest = re.split(r"^\s*:param (\w+):", inspect.getdoc(body), flags=re.MULTILINE)
    body.__doc__ = text.strip()
    words = (" ".join(part.split()) for part in rest[1::2])
    return fabric.task(body, help=dict(zip(rest[::2], words, strict=True)))


def each_host(c, body, name: str) -> None:
    """Call the body with every host: of `-H`, else of `hosts:` in fabric.yaml, else refuse.

    Without this refusal Fabric would run the task on the operator's own machine.
    """
    if isinstance(c, Connection):
        with clear_errors(c):
            return body(c)
    hosts = c.config.get("hosts")
    if not hosts:
        raise Exit(f"no host given: fab -H user@server {name}, or `hosts:` in fabric.yaml")
    for host in hosts.split(",") if isinstance(hosts, str) else hosts:
        if not isinstance(host, str) or not host:
            raise Exit(f"hosts: {host!r} is not a host; write a list such as [david@1.1.1.1]")
        with Connection(host, config=c.config.clone()) as connection, clear_errors(connection):
            body(connection)
    return None


def name_of(c: Connection) -> str:
    """The host as the operator would type it."""
    port = f":{c.port}" if c.port != 22 else ""
    return f"{c.user}@{c.original_host}{port}"


@contextlib.contextmanager
def clear_errors(c: Connection):
    """Turn what can go wrong with a connection into one line with the remedy."""
    from paramiko import (
        AuthenticationException,
        BadHostKeyException,
        PasswordRequiredException,
        SSHException,
    )

    where = name_of(c)
    try:
        yield
    except BadHostKeyException as problem:
        raise Exit(hostkeys.changed(c, problem)) from None
    except PasswordRequiredException:
        raise Exit(f"the key for {where} has a passphrase: add --prompt-for-passphrase") from None
    except AuthenticationException:
        raise Exit(refused(c)) from None
    except socket.gaierror:
        raise Exit(f"no host is called {c.host}: check the name after -H") from None
    except BrokenPipeError:  # our own output: whoever read it has gone
        raise Exit(code=1) from None
    except TimeoutError:
        raise Exit(silent(c)) from None
    except ConnectionRefusedError:
        raise Exit(f"{c.host} refuses port {c.port}: does sshd run there, on that port?") from None
    except (SSHException, EOFError, OSError) as problem:
        if "No authentication methods" in str(problem):
            raise Exit(refused(c)) from None
        if getattr(problem, "errno", None) in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            raise Exit(silent(c)) from None
        if "banner" in str(problem):
            raise Exit(f"{where} does not greet: is port {c.port} that of sshd?") from None
        if c.connect_kwargs.get("key_filename") and "key file" in str(problem):
            keys = ", ".join(map(str, c.connect_kwargs["key_filename"]))
            raise Exit(f"{keys} holds no private key: name another with -i") from None
        if isinstance(problem, FileNotFoundError):
            raise Exit(f"no such file: {problem.filename}") from None
        raise Exit(f"{where}: the connection failed: {problem or 'cut off'}; try again") from None


def silent(c: Connection) -> str:
    """Say that nothing comes back from there."""
    return f"{name_of(c)} does not answer: is it on, and is port {c.port} open?"


def refused(c: Connection) -> str:
    """Say that the server did not let this user in, and what to give it."""
    if nobody_yet(c):
        return f"{name_of(c)} lets nobody in while it starts or stops: {greeting(c)}"
    return (
        f"{name_of(c)} refuses the key or password of {c.user}: name the key with -i, or add "
        "--prompt-for-login-password"
    )


def greeting(c: Connection) -> str:
    """What the server said before it let anybody in, or refused to."""
    handler = getattr(c.client.get_transport(), "auth_handler", None)
    banner = getattr(handler, "banner", None) or b""  # get_banner() forgets it when all is over
    return " ".join(banner.decode(errors="replace").split())


def nobody_yet(c: Connection) -> bool:
    """Whether the server starts or stops, and lets only root in (pam_nologin)."""
    return "not permitted to log in" in greeting(c)


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
    hostkeys.check_with(c, settings)
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
            if not (booting(problem) or nobody_yet(c)) or time.monotonic() > end:
                raise
            time.sleep(0.5)
    c.transport.set_keepalive(SILENCE // 3)


def booting(problem: Exception) -> bool:
    """Whether a host that starts would look like this: no sshd yet, or one that is not ready."""
    return isinstance(problem, ConnectionRefusedError | EOFError) or "banner" in str(problem)


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
