"""Commands on the server: `ask` as the login user, `apply` as root. All commands run from here."""

from __future__ import annotations

import base64
import contextlib
import gzip
import re
import secrets
import shlex
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fabric import Connection
from invoke import Exit
from paramiko import ChannelException, Message
from paramiko.common import cMSG_CHANNEL_REQUEST

from ..script import RemoteScript
from .errors import name_of
from .keepalive import begin
from .sudo import ask_password, once, refuses

LINE = 1 << 20  # bytes: the longest line of an answer
ANSWER = 1 << 24  # bytes: the longest answer
WORD = 1000  # characters: csh takes no long ones
SECONDS = 120  # seconds until the whole answer must be here, by default
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXIES = " ".join(  # the environment's proxies: users may know them
    f'${{{name}:+"{name}=${name}"}}'
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
)
MAGIC = b"\x1f\x8b\x08"  # the first bytes of gzip's output, RFC 1952


@dataclass(frozen=True)
class Beside:
    """Options of a command that exchanges more than input and lines.

    :param source: more input, sent in pieces; the script must know its length, because a terminal
        has no end of input.
    :param sink: takes all output after the line `go`, both streams, instead of lines.
    :param pulse: seconds between line ends that are sent on the open input, so that the command
        notices when the operator is gone; 0 closes the input.
    :param ready: the line that the command prints when it reads its input.
    """

    source: Iterable[bytes] = ()
    sink: Callable[[bytes], None] | None = None
    pulse: float = 0
    ready: str = "go"


PLAIN = Beside()


def session(c: Connection):
    """Open a session; sshd may count one that has just ended against its MaxSessions.

    :raises Exit: when sshd allows none within five seconds.
    """
    for _ in range(25):
        with contextlib.suppress(ChannelException):
            return c.transport.open_session()
        time.sleep(0.2)
    raise Exit(f"{name_of(c)}: sshd allows no further session: set MaxSessions 10 in the server's "
               "/etc/ssh/sshd_config, then: systemctl reload ssh")  # fmt: skip


def converse(
    c: Connection,
    command: str,
    stdin: str = "",
    prompts=None,
    tty: bool = False,
    beside: Beside = PLAIN,
):
    """Run one command and yield its lines (both streams) as they come; return its exit status.

    :param stdin: its input, which no process list shows; with `prompts`, `tty` or a source it is
        sent after the line `go`, else at once.
    :param prompts: text in an unfinished line -> function that returns the answer.
    :param tty: run it on a terminal, for a sudo that requires one.
    :param beside: more that it exchanges.
    :raises Exit: for a line or an answer that is too long, or when nothing begins.
    """
    channel = session(c)
    if tty:
        channel.get_pty()
    channel.set_combine_stderr(True)
    channel.exec_command(command)
    channel.settimeout(SECONDS)
    waiting = bool(prompts or tty or beside.source)
    if not waiting:
        send(channel, stdin, beside)
    buffer, begun, sink, whole = b"", False, beside.sink, 0
    while chunk := received(c, channel, buffer):
        if begun and sink:
            sink(chunk)
            continue
        buffer, whole = buffer + chunk, whole + len(chunk)
        if (len(buffer) > LINE and b"\n" not in buffer) or (whole > ANSWER and not beside.pulse):
            channel.close()
            raise Exit(f"{name_of(c)} sends more than {ANSWER >> 20} MB, or a line that does not "
                       "end: look at the server, then run again")  # fmt: skip
        while b"\n" in buffer and not (begun and sink):
            line, _, buffer = buffer.partition(b"\n")
            if line.strip().endswith(beside.ready.encode()) and not begun:  # after a prompt
                begun, line = True, b"go"
                channel.settimeout(None)
            if waiting and begun:
                waiting = False
                send(channel, stdin, beside)
            yield line.decode(errors="replace").removesuffix("\r")
        if begun and sink:
            sink(buffer)
            buffer = b""
        for text, answer in (prompts or {}).items():
            if text.encode() in buffer:  # sudo-rs writes it into a prompt of its own
                buffer = b""
                channel.sendall(answer().encode() + b"\n")
    if buffer:
        yield buffer.decode(errors="replace")
    return channel.recv_exit_status()


def received(c: Connection, channel, before: bytes) -> bytes:
    """Return the next bytes of the output; nothing at its end.

    :param before: the beginning of that line.
    :raises Exit: when nothing comes before the command has begun, such as from an unknown prompt.
    """
    try:
        return channel.recv(65536)
    except TimeoutError:
        channel.close()
        said = before.decode(errors="replace").strip() or "nothing"
        raise Exit(f"{name_of(c)}: the command did not begin within {SECONDS} s; the server's last "
                   f"words: {said}") from None  # fmt: skip


def send(channel, stdin: str, beside: Beside = PLAIN) -> None:
    """Send the whole input and close it; ignore a command that has ended already."""
    with contextlib.suppress(OSError):
        channel.sendall(stdin.encode())
    for piece in beside.source:  # errors of reading it are not suppressed
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
    c: Connection,
    script: RemoteScript | str,
    stdin: str = "",
    user: str = "",
    seconds: float = SECONDS,
) -> list[str]:
    """Run a script as the login user, in one command; return its lines.

    The script is compressed into the command: input would wait a round trip for sshd's window.

    :param stdin: the input of the script.
    :param user: run as this user when root logs in: programs of the user must not run as root.
    :param seconds: the longest time until the whole answer is here.
    :raises Exit: when the answer is incomplete, too late or too long.

    The answer is compressed into one piece. Many small pieces would each wait for the
    acknowledgement of the one before (Nagle's algorithm, which sshd leaves on). The end of the
    compressed data ends the answer, which saves the two round trips of the exit status.
    """
    packed = base64.b64encode(gzip.compress(str(script).encode(), mtime=0)).decode()
    words = " ".join(re.findall(f".{{1,{WORD}}}", packed))
    unpack = 'script=$(printf %s "$@" | base64 -d | gzip -dc); set --; eval "$script"'
    become = become_user(user, seconds) if user not in ("", c.user) else ""
    become = "cd / && " * (c.user == "root") + become
    channel, end, answer = session(c), time.monotonic() + seconds, Answer()
    channel.set_combine_stderr(True)
    # any login shell reads this alike
    execute(channel, f"{become}sh -c '{{ {unpack}; }} 2>&1 | gzip -c1' sh {words}")
    send(channel, stdin)
    try:
        while not answer.whole:
            channel.settimeout(max(end - time.monotonic(), 0.01))
            chunk = channel.recv(65536)
            if not chunk:
                break
            answer.take(chunk)
    except TimeoutError:
        raise Exit(f"{name_of(c)}: no answer within {seconds:.0f} s: something hangs there, such "
                   "as a disk; look at the server, then run again") from None  # fmt: skip
    except zlib.error:
        raise Exit(f"{name_of(c)}: the answer is damaged: run again") from None
    finally:
        channel.close()
    if answer.too_long:
        raise Exit(f"{name_of(c)} sends more than {ANSWER >> 20} MB: look at the server, then "
                   "run again")  # fmt: skip
    if answer.begun and not answer.whole:
        raise Exit(f"{name_of(c)}: the connection was cut while reading; run again")
    text = (answer.text or answer.before).decode(errors="replace").removesuffix("\n")
    return text.split("\n") if text else []


def become_user(user: str, seconds: float) -> str:
    """Return the prefix that runs root's command as a user: time limit, clean environment.

    It is `owner_does` of users.sh, written so that any login shell of root reads it alike.
    """
    clean = f'exec env -i PATH={PATH} LC_ALL=C.UTF-8 {PROXIES} timeout -k 5 {seconds:.0f} "$@"'
    return f"sh -c '{clean}' sh runuser -u {shlex.quote(user)} -- "


class Answer:
    """An answer as it arrives, compressed; a login shell may print something before it."""

    def __init__(self):
        self.before, self.text = b"", bytearray()
        self.unpacking = zlib.decompressobj(wbits=31)
        self.begun = self.too_long = False

    @property
    def whole(self) -> bool:
        """True when the answer is complete, or too long."""
        return self.unpacking.eof or self.too_long

    def take(self, chunk: bytes) -> None:
        """Add received bytes, and decompress them."""
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


def after_go(c: Connection, talk: Iterator[str], refusals: list[str] | None = None):
    """Yield the lines after the line `go`; return the exit status.

    :param refusals: gets what sudo refuses before that line, if it may.
    :raises Exit: when that line does not come, and nothing is refused.
    """
    last, begun = "the connection was cut", False
    while True:
        try:
            line = next(talk)
        except StopIteration as end:
            if begun or refusals:
                return end.value
            raise Exit(f"{name_of(c)}: nothing was started: {last}; run again") from None
        if begun:
            yield line
        elif line == "go":
            begun = True
        elif line:
            last = line
            if refusals is not None and (refusal := refuses(c, line)):
                refusals.append(refusal)


def take(script: str) -> str:
    """Return shell that reads a script from its input, and runs it only if it is complete."""
    size = len(script.encode())
    return f'script=$(head -c {size}); [ "${{#script}}" -eq {size} ] && eval "$script"'


def execute(channel, command: str) -> None:
    """Send the command as `exec_command` does, but without waiting for sshd's confirmation."""
    message = Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(False)
    message.add_string(command)
    channel.transport._send_user_message(message)


def apply(c: Connection, script: RemoteScript | str, root: bool, **more) -> Iterator[str]:
    """Run a script as root and yield its lines as they come; return its exit status.

    What a login shell or sudo printed before the script is left out.

    The script is sent as input, so that no process list and no log of sudo shows it. An incomplete
    script is not run.

    :param root: True if the login user is root.
    :param more: fields of `Beside`.
    :raises Exit: when the script does not start; when sudo refuses, or asks for a password and
        there is no terminal.
    """
    script, ready = str(script).strip(), f"go {secrets.token_hex(8)}"
    more["ready"] = ready
    # root must run nothing from the login user's folder or PATH
    shell = f"env LC_ALL=C PATH={PATH} sh -c 'cd / && echo {ready}; {take(script)}'"
    if root:
        return (yield from after_go(c, converse(c, shell, script, beside=Beside(**more))))
    tty, known = False, c.config.sudo.password
    while True:
        prompts, how = None, "-n"
        if known:
            nonce = f"[{secrets.token_hex(8)}]"
            prompts, how = {nonce: once(known, c)}, f"-k -S -p '{nonce}'"
        raw = "stty raw -echo; " if tty else ""
        command = f"{raw}env LC_ALL=C sudo {how} -- {shell}"
        refusals: list[str] = []
        talk = converse(c, command, script, prompts, tty, Beside(**more))
        status = yield from after_go(c, talk, refusals)
        refusal = refusals[0] if refusals else None
        if refusal == "tty" and not tty:
            tty = True
        elif refusal == "password" and not known:
            known = c.config.sudo.password = ask_password(c)  # the next step does not ask again
        elif refusal:
            raise Exit(f"sudo on {name_of(c)} still requires a {refusal}: look at its sudoers")
        else:
            return status
