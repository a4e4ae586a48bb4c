"""Who listens at a port is told by how it answers, not by the name of its process."""

import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager

from fabfile.render import program

SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
GREETING = (SIGNATURE + b"\x03\x00NULL").ljust(64, b"\0")
READY = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB"


def publisher(wire):
    wire.sendall(GREETING)
    wire.recv(200)
    wire.sendall(READY)
    wire.recv(200)


def router(wire):
    """Greet, and reset the connection of a subscriber, as ZeroMQ does."""
    wire.sendall(GREETING)
    wire.recv(64, socket.MSG_WAITALL)
    wire.recv(200)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def website(wire):
    wire.recv(200)
    wire.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")


@contextmanager
def listening(answer):
    """Give the port of a program that answers one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with server.accept()[0] as wire:
                answer(wire)

        threading.Thread(target=serve, daemon=True).start()
        yield str(server.getsockname()[1])


def test_a_publisher_other_zeromq_and_a_website_are_told_apart():
    with listening(publisher) as a, listening(router) as b, listening(website) as c:
        closed = socket.create_server(("127.0.0.1", 0))
        nobody = str(closed.getsockname()[1])
        closed.close()
        command = [sys.executable, "-Ic", program("find_publishers"), a, b, c, nobody]
        told = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (told.stdout.splitlines(), told.stderr) == ([f"{a} publisher", f"{b} other"], "")
