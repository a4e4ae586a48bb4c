"""The connection: opened well, checked, and spoken through. Fabric's Connection does the SSH.

Every remote command of the project goes through `ask` (as the login user) or `apply` (as root).
"""

from __future__ import annotations

import base64
import contextlib
import functools
import getpass
import gzip
import secrets
import socket
import time
from collections.abc import Iterator

import fabric
from fabric import Connection
from invoke import Exit

from . import hostkeys
from .output import may_ask
from .settings import Settings

SILENCE = 30  # seconds without an acknowledged packet until a connection counts as lost


def task(body):
    """Make a Fabric task that needs a server; its body runs once a host, errors told clearly."""

    @functools.wraps(body)
    def on_each_host(c, *args, **kwargs):
        each_host(c, lambda connection: body(connection, *args, **kwargs), body.__name__)

    return fabric.task(on_each_host)


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
        raise Exit(f"{where} does not answer: is it on, and is port {c.port} open?") from None
    except ConnectionRefusedError:
        raise Exit(f"{c.host} refuses port {c.port}: does sshd run there, on that port?") from None
    except (SSHException, EOFError, OSError) as problem:
        if "No authentication methods" in str(problem):
            raise Exit(refused(c)) from None
        if isinstance(problem, FileNotFoundError):
            raise Exit(f"no such file: {problem.filename}") from None
        raise Exit(f"{where}: the connection failed: {problem or 'cut off'}; try again") from None


def refused(c: Connection) -> str:
    """Say that the server did not let this user in, and what to give it."""
    return (
        f"{name_of(c)} refuses the key or password of {c.user}: name the key with -i, or add "
        "--prompt-for-login-password"
    )


def open_connection(c: Connection, settings: Settings) -> None:
    """Connect, unless connected: host key checked, no Nagle delay, a dead peer noticed.

    A jump host is opened the same way first, so that its key is checked, too.

    :raises Exit: for an unknown host key that is not accepted.
    """
    if c.is_connected:
        return
    import logging

    logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its tracebacks are not ours
    if isinstance(c.gateway, Connection):
        open_connection(c.gateway, settings)
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
            if not booting(problem) or time.monotonic() > end:
                raise
            time.sleep(0.5)
    c.transport.set_keepalive(SILENCE // 3)


def booting(problem: Exception) -> bool:
    """Whether a host that starts would look like this: no sshd yet, or one that is not ready."""
    return isinstance(problem, ConnectionRefusedError | EOFError) or "banner" in str(problem)


def dial(c: Connection, timeout: float) -> socket.socket:
    """Make the TCP connection, IPv4 or IPv6."""
    wire = socket.create_connection((c.host, c.port), timeout)
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


def converse(c: Connection, command: str, stdin: str = "", prompts=None, tty: bool = False):
    """Run one command and yield its lines (both streams) as they come; return its exit status.

    :param stdin: its input, which shows in no process list; with `prompts` or `tty` it waits until
        a line `go` came, else it is sent at once.
    :param prompts: text without a line end -> function that gives the answer to it.
    :param tty: give it a terminal, for a sudo that wants one.
    """
    channel = c.transport.open_session()
    if tty:
        channel.get_pty()
    channel.set_combine_stderr(True)
    channel.exec_command(command)
    waiting = bool(prompts or tty)
    if not waiting:
        send(channel, stdin)
    buffer = b""
    while chunk := channel.recv(65536):
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            if waiting and line.strip() == b"go":
                waiting = False
                send(channel, stdin)
            else:
                yield line.decode(errors="replace").removesuffix("\r")
        for text, answer in (prompts or {}).items():
            if buffer.endswith(text.encode()):
                buffer = b""
                channel.sendall(answer().encode() + b"\n")
    if buffer:
        yield buffer.decode(errors="replace")
    return channel.recv_exit_status()


def send(channel, stdin: str) -> None:
    """Send the whole input and close it; a command that has ended already is no error here."""
    with contextlib.suppress(OSError):
        channel.sendall(stdin.encode())
        channel.shutdown_write()


def ask(c: Connection, script: str, stdin: str = "") -> tuple[list[str], int]:
    """Run a script as the login user, in one command; give its lines and its exit status."""
    packed = base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()
    unpack = f"echo {packed} | base64 -d | gzip -dc"
    # With input of its own the script cannot come through a pipe: it is an argument then.
    command = f'sh -c "$({unpack})"' if stdin else f"{unpack} | sh"
    lines, talk = [], converse(c, command, stdin)
    while True:
        try:
            lines.append(next(talk))
        except StopIteration as end:
            return lines, end.value


def apply(c: Connection, script: str, root: bool) -> Iterator[str]:
    """Run a script as root and yield its lines as they come; return its exit status.

    The script travels as input, so that nothing in it shows in a process list or in sudo's log;
    one that did not come whole is not begun.

    :param root: whether the login user is root already.
    :raises Exit: when sudo refuses, or asks for a password that nobody here knows.
    """
    script = script.strip()
    size = len(script.encode())
    whole = f'script=$(head -c {size}); [ "${{#script}}" -eq {size} ] && eval "$script"'
    shell = f"env LC_ALL=C sh -c 'echo go; {whole}'"
    if root:
        return (yield from converse(c, shell, script))
    tty, known = False, c.config.sudo.password
    while True:
        prompts, how = None, "-n"
        if known:
            nonce = f"[{secrets.token_hex(8)}]"
            prompts, how = {nonce: once(known, c)}, f"-k -S -p '{nonce}'"
        raw = "stty raw -echo; " if tty else ""
        command = f"{raw}env LC_ALL=C sudo {how} -- {shell}"
        refusal, status = None, None
        talk = converse(c, command, script, prompts, tty)
        try:
            while True:
                line = next(talk)
                refusal = refusal or refuses(c, line)
                if not refusal:
                    yield line
        except StopIteration as end:
            status = end.value
        if refusal == "tty" and not tty:
            tty = True
        elif refusal == "password" and not known:
            known = c.config.sudo.password = ask_password(c)  # the next step need not ask again
        elif refusal:
            raise Exit(f"sudo on {name_of(c)} refuses: {refusal}")
        else:
            return status


def ask_password(c: Connection) -> str:
    """Ask for sudo's password, unseen."""
    if not may_ask():
        raise Exit(
            f"sudo on {name_of(c)} asks for a password: add --prompt-for-sudo-password, or set "
            "FABRIC_SUDO_PASSWORD"
        )
    return getpass.getpass(f"sudo password of {name_of(c)}: ")


def once(password: str, c: Connection):
    """Answer sudo's first prompt; a second one means that the password is wrong."""
    answers = iter([password])

    def answer() -> str:
        for known in answers:
            return known
        raise Exit(f"sudo on {name_of(c)} refuses this password: run again and retype it")

    return answer


def refuses(c: Connection, line: str) -> str | None:
    """Tell what sudo lacks, a `password` or a `tty`; every other refusal ends the run."""
    if "a password is required" in line and line.startswith("sudo: "):
        return "password"
    if "you must have a tty" in line and line.startswith("sudo: "):
        return "tty"
    if "sudo: not found" in line or "sudo: command not found" in line:
        raise Exit(f"{name_of(c)} has no sudo: log in as root, or install sudo there")
    if "env: 'sudo'" in line or "env: \u2018sudo\u2019" in line:
        raise Exit(f"{name_of(c)} has no sudo: log in as root, or install sudo there")
    if "not in the sudoers file" in line or "is not allowed to execute" in line:
        raise Exit(f"{c.user} may not use sudo on {c.original_host}: add the user to group sudo")
    return None
