"""Print the ports of this machine at which a ZeroMQ publisher answers anyone.

Usage: find_publishers.py PORT...     (RFC 23, ZMTP 3.0, without security)
"""

import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

GREETING = b"\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL".ljust(64, b"\0")
SUBSCRIBER = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"


def publishes(port: int) -> bool:
    """Check whether a publisher answers the greeting of a subscriber."""
    answer, end = b"", time.monotonic() + 2
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as wire:
            wire.settimeout(2)
            wire.sendall(GREETING + SUBSCRIBER)
            while len(answer) < 64 + 28 and time.monotonic() < end and (chunk := wire.recv(200)):
                answer += chunk
    except OSError:
        return False
    return b"PUB" in answer[64:]


with ThreadPoolExecutor(64) as pool:  # each may take seconds
    ports = sys.argv[1:]
    found = pool.map(publishes, map(int, ports))
    for number, open_to_all in zip(ports, found, strict=True):
        if open_to_all:
            print(number)
