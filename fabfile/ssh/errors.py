"""Errors of a connection, each told in one line with the remedy."""

from __future__ import annotations

import contextlib
import errno
import socket

from fabric import Connection
from invoke import Exit

from ..ui.command import FAB
from . import host_keys, offers
from .keepalive import heard

UNREACHABLE = errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN


def name_of(c: Connection) -> str:
    """Return the host as the operator types it after -H."""
    port = f":{c.port}" if c.port != 22 else ""
    return f"{c.user}@{c.original_host}{port}"


def fab_on(c: Connection) -> str:
    """Return the beginning of a command for this host, as the operator types it."""
    return f"{FAB} -H {name_of(c)}"


@contextlib.contextmanager
def clear_errors(c: Connection):
    """Turn errors of a connection into one line with the remedy."""
    from paramiko import (
        AuthenticationException,
        BadHostKeyException,
        IncompatiblePeer,
        PasswordRequiredException,
        SSHException,
    )

    where = name_of(c)
    try:
        yield
    except BadHostKeyException as problem:
        raise Exit(host_keys.changed(c, problem)) from None
    except PasswordRequiredException:
        raise Exit(f"the key for {where} has a passphrase: add --prompt-for-passphrase") from None
    except AuthenticationException:
        raise Exit(refused(c)) from None
    except socket.gaierror:
        raise Exit(f"no host is called {c.host}: check the name after -H") from None
    except BrokenPipeError:
        if not heard():  # the reader of our output is gone: see ui/ending.py
            raise
        raise Exit(f"{where}: the connection failed: cut off; run again") from None
    except TimeoutError:
        raise Exit(silent(c)) from None
    except ConnectionRefusedError:
        raise Exit(f"{c.host} refuses port {c.port}: does sshd run there, on that port?") from None
    except IncompatiblePeer as problem:
        raise Exit(f"{where}: {offers.unlike(c) or problem}") from None
    except (SSHException, EOFError, OSError) as problem:
        if "No authentication methods" in str(problem):
            raise Exit(refused(c)) from None
        if getattr(problem, "errno", None) in UNREACHABLE:
            raise Exit(silent(c)) from None
        if getattr(problem, "errno", None) == errno.ENOSPC:
            raise Exit("a disk of this machine is full: make room, then run again") from None
        if "banner" in str(problem):
            raise Exit(f"{where} does not speak SSH: is port {c.port} that of sshd?") from None
        if c.connect_kwargs.get("key_filename") and "key file" in str(problem):
            keys = ", ".join(map(str, c.connect_kwargs["key_filename"]))
            raise Exit(f"{keys} is not a private key: name another file with -i") from None
        if isinstance(problem, FileNotFoundError):
            raise Exit(f"no such file: {problem.filename}") from None
        raise Exit(
            f"{where}: the connection failed: {str(problem) or 'cut off'}; run again"
        ) from None


def silent(c: Connection) -> str:
    """Return the message about a server that does not answer."""
    return f"{name_of(c)} does not answer: is it on, and is port {c.port} open?"


def refused(c: Connection) -> str:
    """Return the message about a refused login, with the remedy."""
    if nobody_yet(c):
        return f"{name_of(c)} refuses logins while it boots or shuts down: {greeting(c)}"
    return (
        f"{name_of(c)} refuses the key or password of {c.user}: name the key with -i, or add "
        "--prompt-for-login-password; if these are right, journalctl -u ssh -n 9 there says why"
    )


def greeting(c: Connection) -> str:
    """Return the banner that the server sent before the login, in one line."""
    handler = getattr(c.client.get_transport(), "auth_handler", None)
    banner = getattr(handler, "banner", None) or b""  # get_banner() loses it at the end
    return " ".join(banner.decode(errors="replace").split())


def nobody_yet(c: Connection) -> bool:
    """Check whether the server refuses logins because it boots or shuts down, pam_nologin(8)."""
    return "not permitted to log in" in greeting(c)
