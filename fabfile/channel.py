"""Speak to the server: `ask` as the login user, `apply` as root. The only module that does."""

from __future__ import annotations

import base64
import contextlib
import gzip
import secrets
import shlex
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fabric import Connection
from invoke import Exit
from paramiko import Message
from paramiko.common import cMSG_CHANNEL_REQUEST

from .pulse import begin
from .sudo import ask_password, once, refuses
from .troubles import name_of

MAGIC = b"\x1f\x8b\x08"  # how gzip's output begins, RFC 1952


@dataclass(frozen=True)
class Beside:
    """What goes to and fro beside a command and its lines.

    :param source: what is sent after the input, piece by piece; the script must know how much it
        reads of that, for a terminal has no end.
    :param sink: takes all that comes after the line `go`, both streams, instead of lines.
    :param pulse: leave its input open, and send a line end every so many seconds: while they come,
        somebody is here.
    """

    source: Iterable[bytes] = ()
    sink: Callable[[bytes], None] | None = None
    pulse: float = 0


PLAIN = Beside()


def converse(
    c: Connection,
    command: str,
    stdin: str = "",
    prompts=None,
    tty: bool = False,
    beside: Beside = PLAIN,
):
    """Run one command and yield its lines (both streams) as they come; return its exit status.

    :param stdin: its input, which shows in no process list; with `prompts`, `tty` or a source it
        waits until a line `go` came, else it is sent at once.
    :param prompts: text without a line end -> function that gives the answer to it.
    :param tty: give it a terminal, for a sudo that wants one.
    :param beside: what goes to and fro with it.
    """
    channel = c.transport.open_session()
    if tty:
        channel.get_pty()
    channel.set_combine_stderr(True)
    channel.exec_command(command)
    waiting = bool(prompts or tty or beside.source)
    if not waiting:
        send(channel, stdin, beside)
    buffer, begun, sink = b"", False, beside.sink
    while chunk := channel.recv(65536):
        if begun and sink:
            sink(chunk)
            continue
        buffer += chunk
        while b"\n" in buffer and not (begun and sink):
            line, _, buffer = buffer.partition(b"\n")
            begun = begun or line.strip() == b"go"
            if waiting and begun:
                waiting = False
                send(channel, stdin, beside)
            yield line.decode(errors="replace").removesuffix("\r")
        if begun and sink:
            sink(buffer)
            buffer = b""
        for text, answer in (prompts or {}).items():
            if buffer.endswith(text.encode()):
                buffer = b""
                channel.sendall(answer().encode() + b"\n")
    if buffer:
        yield buffer.decode(errors="replace")
    return channel.recv_exit_status()


def send(channel, stdin: str, beside: Beside = PLAIN) -> None:
    """Send the whole input and close it; a command that has ended already is no error here."""
    with contextlib.suppress(OSError):
        channel.sendall(stdin.encode())
    for piece in beside.source:  # what cannot be read here is an error
        try:
            channel.sendall(piece)
        except OSError:
            return
    with contextlib.suppress(OSError):
        if beside.pulse:
            begin(channel, beside.pulse)
        else:
            channel.shutdown_write()


def ask(c: Connection, script: str, stdin: str = "", user: str = "") -> list[str]:
    """Run a script as the login user, in one command; give its lines.

    It travels packed in the command: input would wait a round trip for sshd to open its window.

    :param stdin: what the script itself reads.
    :param user: as whom, when root logs in: what that user's own programs do must not be root's.
    :raises Exit: when the connection was cut before the answer was whole.

    The answer comes packed, in one piece: many small ones would each wait for the acknowledgement
    of the one before (Nagle's algorithm, which sshd leaves on), and its end is known when it has
    come, without the two round trips in which sshd tells how the command ended.
    """
    packed = base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()
    unpack = f"echo {packed} | base64 -d | gzip -dc"  # in words that no login shell changes
    runuser = f"runuser -u {shlex.quote(user)} -- " if user not in ("", c.user) else ""
    channel = c.transport.open_session()
    channel.set_combine_stderr(True)
    execute(channel, f"{runuser}sh -c '{{ eval \"$({unpack})\"; }} 2>&1 | gzip -c1'")
    send(channel, stdin)
    told, answer = b"", None
    while answer is None and (chunk := channel.recv(65536)):
        told += chunk
        answer = unpacked(told)
    channel.close()
    if answer is None and MAGIC in told:
        raise Exit(f"{name_of(c)}: the connection was cut while reading; run again")
    text = (told if answer is None else answer).decode(errors="replace").removesuffix("\n")
    return text.split("\n") if text else []


def take(script: str) -> str:
    """Write the shell that takes a script from its input, and begins only one that came whole."""
    size = len(script.encode())
    return f'script=$(head -c {size}); [ "${{#script}}" -eq {size} ] && eval "$script"'


def execute(channel, command: str) -> None:
    """Send the command, as `exec_command` does, but without asking sshd to say that it runs it."""
    message = Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(False)
    message.add_string(command)
    channel.transport._send_user_message(message)


def unpacked(told: bytes) -> bytes | None:
    """Give what was packed, once it came whole; a login shell may have said something before."""
    start, unpacking = told.find(MAGIC), zlib.decompressobj(wbits=31)
    text = unpacking.decompress(told[start:]) if start >= 0 else b""
    return text if unpacking.eof else None


def apply(c: Connection, script: str, root: bool, **more) -> Iterator[str]:
    """Run a script as root and yield its lines as they come, after a line `go`; return its status.

    The script travels as input, so that nothing in it shows in a process list or in sudo's log;
    one that did not come whole is not begun.

    :param root: whether the login user is root already.
    :param more: what goes to and fro with it, as `Beside` has it.
    :raises Exit: when sudo refuses, or asks for a password that nobody here knows.
    """
    script = script.strip()
    shell = f"env LC_ALL=C sh -c 'echo go; {take(script)}'"
    if root:
        return (yield from converse(c, shell, script, beside=Beside(**more)))
    tty, known = False, c.config.sudo.password
    while True:
        prompts, how = None, "-n"
        if known:
            nonce = f"[{secrets.token_hex(8)}]"
            prompts, how = {nonce: once(known, c)}, f"-k -S -p '{nonce}'"
        raw = "stty raw -echo; " if tty else ""
        command = f"{raw}env LC_ALL=C sudo {how} -- {shell}"
        refusal = status = None
        begun = False
        talk = converse(c, command, script, prompts, tty, Beside(**more))
        try:
            while True:
                line = next(talk)
                begun = begun or line == "go"
                refusal = refusal or (None if begun else refuses(c, line))
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
