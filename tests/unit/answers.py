"""A server on this machine, for one question."""

import socket
import threading
import time
from contextlib import contextmanager, suppress


@contextmanager
def answering(text: bytes):
    """Give whoever asks first this answer: the port, and what was heard."""
    with socket.create_server(("127.0.0.1", 0)) as wire:
        heard: list[bytes] = []

        def serve():
            connection, _ = wire.accept()
            with connection:
                heard.append(connection.recv(4096))
                connection.sendall(text)

        threading.Thread(target=serve, daemon=True).start()
        yield wire.getsockname()[1], heard


@contextmanager
def endless(again: bytes):
    """Answer whoever asks first with this again and again, a little at a time: the port."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve():
            wire, _ = door.accept()
            with wire, suppress(OSError):
                wire.recv(4096)
                while True:
                    wire.sendall(again)
                    time.sleep(0.05)

        threading.Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1]
