"""Print the ports of this machine at which a ZeroMQ publisher answers to anybody.

Usage: publishers.py PORT...     (RFC 23, ZMTP 3.0, without security)
"""

import contextlib
import socket
import sys
import time

GREETING = b"\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL".ljust(64, b"\0")
SUBSCRIBER = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"


def publishes(port: int) -> bool:
    """Greet as a subscriber; a publisher answers that it is one."""
    with socket.create_connection(("127.0.0.1", port), 2) as wire:
        wire.settimeout(2)
        wire.sendall(GREETING + SUBSCRIBER)
        answer, end = b"", time.monotonic() + 2
        while len(answer) < 64 + 28 and time.monotonic() < end and (chunk := wire.recv(200)):
            answer += chunk
        return b"PUB" in answer[64:]


for number in sys.argv[1:]:
    with contextlib.suppress(OSError):
        if publishes(int(number)):
            print(number)
