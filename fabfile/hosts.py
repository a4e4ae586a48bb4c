"""The server's name on the operator's machine: one marked block in the hosts file.

The block is at the top of the file, so that its removal restores every byte.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
import tempfile
from pathlib import Path

import fabric
from invoke import Exit

from .engine.task import each_host
from .settings import Settings, load
from .ssh import connection
from .ui.command import FAB
from .ui.console import may_ask, say
from .ui.machine import WINDOWS_HOSTS, within_windows

PROMPT = "sudo password of %u on this machine: "
# Rename if possible; in a container the file is a mount, which can only be overwritten.
REPLACE = """
trap 'rm -f "$2.new"' EXIT
cp -p "$2" "$2.new" && cat "$1" >"$2.new" || exit 1
mv -f "$2.new" "$2" 2>/dev/null || cat "$1" >"$2"
"""


def opening(domain: str) -> str:
    """Return the first line of our block for a domain."""
    return f"# >>> {domain}, by `fab hosts`\n"


def with_line(text: str, domain: str, address: str | None) -> str:
    """Return the hosts file's text with our block for a domain, or without it.

    :param address: the IP; None removes the block.
    :raises Exit: when the block's last line is missing: somebody edited it.
    """
    first, last = opening(domain), f"# <<< {domain}\n"
    before, found, rest = text.partition(first)
    if found:
        _, ended, after = rest.partition(last)
        if not ended:
            raise Exit(f"the block `{first.strip()}` has no end: repair the hosts file by hand")
        text = before + after
    if address is None:
        return text
    return f"{first}{address}\t{domain}\n{last}{text}"


def led_to(text: str, domain: str) -> str:
    """Return the address to which our block of a hosts file leads a domain; "" without one."""
    _, _, rest = text.partition(opening(domain))
    return rest.partition("\t")[0] if "\t" in rest.partition("\n")[0] else ""


def refuse_taken(c: fabric.Connection, settings: Settings) -> None:
    """Refuse a name that the hosts file leads to another server of the operator.

    An address of the other IP version may be one of the same server.

    :raises Exit: with both addresses.
    """
    if settings.numeric:
        return
    path = Path(settings.hosts_file).expanduser()
    try:
        there = ipaddress.ip_address(led_to(read(path), settings.domain))
        here = ipaddress.ip_address(address_of(c, settings).partition("%")[0])
    except (OSError, ValueError):  # no such file, no line, or an address that only ssh finds
        return
    if there.version != here.version or there == here:
        return
    raise Exit(f"lab.domain: {settings.domain} leads to {there} in {path}, and this server is "
               f"{here}: choose another lab.domain for it; or, if it is the same server, set "
               f"lab.address: {there}, or forget that line: {FAB} hosts --remove")  # fmt: skip


def read(path: Path) -> str:
    """Return the text of a hosts file, whatever its bytes are."""
    return path.read_bytes().decode(errors="surrogateescape")


def address_of(c: fabric.Connection, settings: Settings) -> str:
    """Return the IP for the line: the setting, the SSH peer, or the host's name resolved."""
    if settings.address:
        return settings.address
    if c.is_connected and not c.gateway:
        return connection.peer_address(c)
    return socket.getaddrinfo(c.host, None, type=socket.SOCK_STREAM)[0][4][0]


def write(path: Path, text: str, ask: bool = True) -> bool:
    """Replace the file, with sudo only if needed; return whether it worked.

    :param ask: let sudo ask for its password, on a terminal.
    """
    data = text.encode(errors="surrogateescape")
    handle, name = tempfile.mkstemp(prefix="hosts-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    command = ["sh", "-c", REPLACE, "sh", name, str(path)]
    ours = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    try:
        silent = command if ours else ["sudo", "-n", *command]
        done = subprocess.run(silent, stderr=None if ours else subprocess.DEVNULL)
        if done.returncode and ask and not ours and may_ask():
            say(f"  hosts    sudo on THIS machine, for its {path}; Ctrl-C leaves that as it is")
            done = subprocess.run(["sudo", "-p", PROMPT, *command])
        return done.returncode == 0 and path.read_bytes() == data
    except FileNotFoundError:  # no sudo here
        return False
    except KeyboardInterrupt:
        say()
        return False
    finally:
        os.unlink(name)


def update(settings: Settings, address: str | None, dry: bool = False, ask: bool = True) -> bool:
    """Add or remove the line and print the outcome; return False if it could not be added.

    :param ask: False leaves a file for later, without a word, when sudo would ask on a terminal.
    """
    path = Path(settings.hosts_file).expanduser().resolve()
    domain = settings.domain
    try:
        text = read(path)
    except OSError as problem:
        raise Exit(f"lab.hosts_file: {path}: {problem.strerror}") from None
    new = with_line(text, domain, address)
    line = f"{address}  {domain}"
    if new == text:
        say(f"  hosts    {path} already has {line if address else 'no line for ' + domain}")
    elif dry:
        say(f"  would {'write ' + line + ' to' if address else 'remove our line from'} {path}")
    elif write(path, new, ask):
        say(f"  hosts    {path} now has {line}" if address else f"  hosts    {path}: line removed")
        if within_windows():
            what = f"add {line} to" if address else "remove the line from"
            say(f"  note     for browsers of Windows {what} {WINDOWS_HOSTS}, as administrator")
    elif not ask and may_ask():
        return False
    elif address:
        say(f"  hosts    {path} is unchanged; add this line to it:\n\n{line}\n")
        return False
    else:
        raise Exit(f"{path} is not writable: remove the block of {domain} by hand")
    return True


def add(c: fabric.Connection, settings: Settings, ask: bool = True) -> bool:
    """Add the line for this host; return whether it is there, or not needed.

    :param ask: as for `update`.
    """
    if settings.numeric:
        say(f"  hosts    {settings.domain} is an address, which needs no line")
        return True
    return update(settings, address_of(c, settings), c.config.run.dry, ask)


def take_out(c: fabric.Connection, settings: Settings) -> None:
    """Remove the line of this host, unless the name leads to another host."""
    path = Path(settings.hosts_file).expanduser()
    line = f"{address_of(c, settings)}\t{settings.domain}\n"
    if path.exists() and line in read(path):
        update(settings, None, c.config.run.dry)


def hosts(c, remove):
    if remove:
        update(load(c.config), None, c.config.run.dry)
        return
    each_host(c, add_or_refuse, "hosts")


def add_or_refuse(c: fabric.Connection, settings: Settings) -> None:
    """Add the line; raise Exit when the name is taken, or the hosts file is not writable."""
    refuse_taken(c, settings)
    if not add(c, settings):
        raise Exit("the hosts file is unchanged; add the line above yourself")
