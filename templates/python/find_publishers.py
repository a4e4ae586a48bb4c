"""Print the ports of this machine at which ZeroMQ answers: `PORT publisher` if it tells anyone.

Usage: find_publishers.py PORT...     (RFC 23, ZMTP 3.0, without security)
"""

import contextlib
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

GREETING = b"\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL".ljust(64, b"\0")
SUBSCRIBER = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"


def kind(port: int) -> str:
    """Return what answers the greeting of a subscriber: a publisher, other ZeroMQ, or ""."""
    answer, end = b"", time.monotonic() + 2
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as wire:
        wire.settimeout(2)
        # one after the other: what is no publisher resets the connection after the second
        for words, length in ((GREETING, 64), (SUBSCRIBER, 64 + 28)):
            wire.sendall(words)
            while len(answer) < length and time.monotonic() < end and (chunk := wire.recv(200)):
                answer += chunk
    signed = answer[:1] + answer[9:10] == b"\xff\x7f"
    return "publisher" if b"PUB" in answer[64:] else "other" if signed else ""


with ThreadPoolExecutor(64) as pool:  # each may take seconds
    ports = sys.argv[1:]
    for number, found in zip(ports, pool.map(kind, map(int, ports)), strict=True):
        if found:
            print(number, found)
