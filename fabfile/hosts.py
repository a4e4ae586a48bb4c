"""The operator's own name for the server: one marked block in their hosts file.

The block stands at the top of the file, so that taking it out again leaves every byte as it was.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import fabric
from invoke import Exit

from .engine.task import each_host, local_task
from .settings import Settings, load
from .ssh import connection
from .ui.console import say

# Renamed into place; in a container the file is a mount, which can only be written where it is.
REPLACE = """
trap 'rm -f "$2.new"' EXIT
cp -p "$2" "$2.new" && cat "$1" >"$2.new" || exit 1
mv -f "$2.new" "$2" 2>/dev/null || cat "$1" >"$2"
"""


def with_line(text: str, domain: str, address: str | None) -> str:
    """Give the hosts file's text with our block for a domain, or without it.

    :param address: the IP to put there; None takes the block out.
    :raises Exit: when a block begins but does not end: somebody edited it.
    """
    first, last = f"# >>> {domain}, by `fab hosts`\n", f"# <<< {domain}\n"
    before, found, rest = text.partition(first)
    if found:
        _, ended, after = rest.partition(last)
        if not ended:
            raise Exit(f"the block `{first.strip()}` has no end: mend the hosts file by hand")
        text = before + after
    if address is None:
        return text
    return f"{first}{address}\t{domain}\n{last}{text}"


def address_of(c: fabric.Connection, settings: Settings) -> str:
    """Find the IP for the line: the setting, the SSH peer, or what the host's name resolves to."""
    if settings.address:
        return settings.address
    if c.is_connected and not c.gateway:
        return connection.peer_address(c)
    return socket.getaddrinfo(c.host, None, type=socket.SOCK_STREAM)[0][4][0]


def write(path: Path, text: str) -> bool:
    """Replace the file, with sudo only where it takes that; say whether it worked."""
    data = text.encode(errors="surrogateescape")
    handle, name = tempfile.mkstemp(prefix="hosts-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    command = ["sh", "-c", REPLACE, "sh", name, str(path)]
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        ask = [] if sys.stdin.isatty() else ["-n"]
        command = ["sudo", *ask, *command]
    try:
        done = subprocess.run(command, stderr=subprocess.DEVNULL if "-n" in command else None)
        return done.returncode == 0 and path.read_bytes() == data
    except FileNotFoundError:  # no sudo here
        return False
    finally:
        os.unlink(name)


def update(settings: Settings, address: str | None, dry: bool = False) -> bool:
    """Put the line there, or take it out; say what happened; False when it could not be written."""
    path = Path(settings.hosts_file).expanduser().resolve()
    domain = settings.domain
    try:
        text = path.read_bytes().decode(errors="surrogateescape")
    except OSError as problem:
        raise Exit(f"lab.hosts_file: {path}: {problem.strerror}") from None
    new = with_line(text, domain, address)
    line = f"{address}  {domain}"
    if new == text:
        say(f"  hosts    {path} {'has ' + line if address else 'has no line of ours'} already")
    elif dry:
        say(f"  would {'write ' + line + ' to' if address else 'take our line out of'} {path}")
    elif write(path, new):
        say(f"  hosts    {path} now has {line}" if address else f"  hosts    {path}: line removed")
    elif address:
        say(f"  hosts    {path} cannot be written here; add this line to it:\n\n{line}\n")
        return False
    else:
        raise Exit(f"{path} cannot be written here: remove the block of {domain} by hand")
    return True


def add(c: fabric.Connection) -> bool:
    """Add the line for this host."""
    settings = load(c.config)
    return update(settings, address_of(c, settings), c.config.run.dry)


def take_out(c: fabric.Connection) -> None:
    """Take the line of this host out, if the name leads to it and not to another host."""
    settings = load(c.config)
    path = Path(settings.hosts_file).expanduser()
    line = f"{address_of(c, settings)}\t{settings.domain}\n"
    if path.exists() and line in path.read_bytes().decode(errors="surrogateescape"):
        update(settings, None, c.config.run.dry)


@local_task
def hosts(c, remove=False):
    """Add the server's name to your own /etc/hosts.

    :param remove: take the line out again; needs no host.
    """
    if remove:
        update(load(c.config), None, c.config.run.dry)
        return
    each_host(c, add_or_refuse, "hosts")


def add_or_refuse(c: fabric.Connection) -> None:
    """Add the line; on its own, a step that could not do its work has failed."""
    if not add(c):
        raise Exit("the hosts file was left as it is; add the line above yourself")
