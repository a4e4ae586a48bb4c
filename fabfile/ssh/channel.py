"""Speak to the server: `ask` as the login user, `apply` as root. The only module that does."""

from __future__ import annotations

import base64
import contextlib
import gzip
import secrets
import shlex
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fabric import Connection
from invoke import Exit
from paramiko import Message
from paramiko.common import cMSG_CHANNEL_REQUEST

from .errors import name_of
from .keepalive import begin
from .sudo import ask_password, once, refuses

LINE = 1 << 20  # bytes of one line of a server's at most: a longer one is no answer
ANSWER = 1 << 24  # bytes of a whole answer at most
SECONDS = 120  # until an answer has come, unless the caller knows better
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXIES = " ".join(  # how root gets out of there, which is no secret of root's
    f'${{{name}:+"{name}=${name}"}}'
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
)
MAGIC = b"\x1f\x8b\x08"  # how gzip's output begins, RFC 1952


@dataclass(frozen=True)
class Beside:
    """What goes to and fro beside a command and its lines.

    :param source: what is sent after the input, piece by piece; the script must know how much it
        reads of that, for a terminal has no end.
    :param sink: takes all that comes after the line `go`, both streams, instead of lines.
    :param pulse: leave its input open, and send a line end every so many seconds: while they come,
        somebody is here.
    :param ready: the line with which the command says that it reads its input now.
    """

    source: Iterable[bytes] = ()
    sink: Callable[[bytes], None] | None = None
    pulse: float = 0
    ready: str = "go"


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
    :raises Exit: for a line, or an answer, that is larger than any.
    """
    channel = c.transport.open_session()
    if tty:
        channel.get_pty()
    channel.set_combine_stderr(True)
    channel.exec_command(command)
    waiting = bool(prompts or tty or beside.source)
    if not waiting:
        send(channel, stdin, beside)
    buffer, begun, sink, whole = b"", False, beside.sink, 0
    while chunk := channel.recv(65536):
        if begun and sink:
            sink(chunk)
            continue
        buffer, whole = buffer + chunk, whole + len(chunk)
        if (len(buffer) > LINE and b"\n" not in buffer) or (whole > ANSWER and not beside.pulse):
            channel.close()
            raise Exit(f"{name_of(c)} answers more than {ANSWER >> 20} MB, or a line without an "
                       "end: look at the server, then run again")  # fmt: skip
        while b"\n" in buffer and not (begun and sink):
            line, _, buffer = buffer.partition(b"\n")
            if line.strip() == beside.ready.encode() and not begun:
                begun, line = True, b"go"
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


def ask(
    c: Connection, script: str, stdin: str = "", user: str = "", seconds: float = SECONDS
) -> list[str]:
    """Run a script as the login user, in one command; give its lines.

    It travels packed in the command: input would wait a round trip for sshd to open its window.

    :param stdin: what the script itself reads.
    :param user: as whom, when root logs in: what that user's own programs do must not be root's.
    :param seconds: until the answer has come.
    :raises Exit: when the connection was cut before the answer was whole, when it does not come in
        time, or is larger than any answer.

    The answer comes packed, in one piece: many small ones would each wait for the acknowledgement
    of the one before (Nagle's algorithm, which sshd leaves on), and its end is known when it has
    come, without the two round trips in which sshd tells how the command ended.
    """
    packed = base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()
    unpack = f"echo {packed} | base64 -d | gzip -dc"  # in words that no login shell changes
    become = become_user(user, seconds) if user not in ("", c.user) else ""
    become = "cd / && " * (c.user == "root") + become
    channel, end, answer = c.transport.open_session(), time.monotonic() + seconds, Answer()
    channel.set_combine_stderr(True)
    execute(channel, f"{become}sh -c '{{ eval \"$({unpack})\"; }} 2>&1 | gzip -c1'")
    send(channel, stdin)
    try:
        while not answer.whole:
            channel.settimeout(max(end - time.monotonic(), 0.01))
            chunk = channel.recv(65536)
            if not chunk:
                break
            answer.take(chunk)
    except TimeoutError:
        raise Exit(f"{name_of(c)}: no answer within {seconds:.0f} s: something there hangs, such "
                   "as a disk; look at the server, then run again") from None  # fmt: skip
    except zlib.error:
        raise Exit(f"{name_of(c)}: the answer is damaged: run again") from None
    finally:
        channel.close()
    if answer.too_long:
        raise Exit(f"{name_of(c)} answers more than {ANSWER >> 20} MB: look at the server, then "
                   "run again")  # fmt: skip
    if answer.begun and not answer.whole:
        raise Exit(f"{name_of(c)}: the connection was cut while reading; run again")
    text = (answer.text or answer.before).decode(errors="replace").removesuffix("\n")
    return text.split("\n") if text else []


def become_user(user: str, seconds: float) -> str:
    """Write what makes a command of root's one of that user's, for so long, with nothing of root's.

    It is `owner_does` of users.sh in words that no login shell changes, whichever root has.
    """
    clean = f'exec env -i PATH={PATH} LC_ALL=C.UTF-8 {PROXIES} timeout -k 5 {seconds:.0f} "$@"'
    return f"sh -c '{clean}' sh runuser -u {shlex.quote(user)} -- "


class Answer:
    """What was packed, as it comes; a login shell may have said something before."""

    def __init__(self):
        self.before, self.text = b"", bytearray()
        self.unpacking = zlib.decompressobj(wbits=31)
        self.begun = self.too_long = False

    @property
    def whole(self) -> bool:
        """Whether no more of it will come, or be taken."""
        return self.unpacking.eof or self.too_long

    def take(self, chunk: bytes) -> None:
        """Take some bytes, and unpack them once."""
        if not self.begun:
            self.before += chunk
            start = self.before.find(MAGIC)
            self.begun, self.too_long = start >= 0, len(self.before) > ANSWER
            self.before, chunk = (
                (self.before[:start], self.before[start:]) if self.begun else (self.before, b"")
            )
        if self.begun:
            self.text += self.unpacking.decompress(chunk, ANSWER + 1 - len(self.text))
            self.too_long = len(self.text) > ANSWER


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


def apply(c: Connection, script: str, root: bool, **more) -> Iterator[str]:
    """Run a script as root and yield its lines as they come, after a line `go`; return its status.

    The script travels as input, so that nothing in it shows in a process list or in sudo's log;
    one that did not come whole is not begun.

    :param root: whether the login user is root already.
    :param more: what goes to and fro with it, as `Beside` has it.
    :raises Exit: when sudo refuses, or asks for a password that nobody here knows.
    """
    script, ready = script.strip(), f"go {secrets.token_hex(8)}"
    more["ready"] = ready
    # whatever the login user's folder and PATH hold is not for root
    shell = f"env LC_ALL=C PATH={PATH} sh -c 'cd / && echo {ready}; {take(script)}'"
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
