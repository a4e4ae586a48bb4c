"""What can go wrong with a connection, each in one line with what to do."""

from __future__ import annotations

import contextlib
import errno
import socket

from fabric import Connection
from invoke import Exit

from . import host_keys


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
        raise Exit(host_keys.changed(c, problem)) from None
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
        raise Exit(
            f"{where}: the connection failed: {str(problem) or 'cut off'}; try again"
        ) from None


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
