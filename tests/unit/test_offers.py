"""An sshd whose algorithms are unknown here: both lists, and the line that helps."""

import contextlib
import socket
import struct
import threading

import pytest
from fabric import Connection
from invoke import Exit
from paramiko import Message

from fabfile.ssh.errors import clear_errors
from fabfile.ssh.offers import ADVISED

COMMON = {
    "KexAlgorithms": "curve25519-sha256@libssh.org",
    "HostKeyAlgorithms": "ssh-ed25519",
    "Ciphers": "aes256-ctr",
    "MACs": "hmac-sha2-256",
}


def packet(offer: dict[str, str]) -> bytes:
    """sshd's list of algorithms, RFC 4253, 7.1."""
    message = Message()
    message.add_byte(bytes([20]))
    message.add_bytes(bytes(16))
    for kind in ("KexAlgorithms", "HostKeyAlgorithms", "Ciphers", "Ciphers", "MACs", "MACs"):
        message.add_string(offer[kind])
    for text in ("none", "none", "", ""):
        message.add_string(text)
    message.add_boolean(False)
    message.add_int(0)
    payload = message.asbytes()
    padding = 8 - (len(payload) + 5) % 8 + 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


@pytest.fixture
def sshd():
    """Give a function that starts an sshd which offers that, and nothing more; returns its port."""
    listener, taken = socket.create_server(("127.0.0.1", 0)), []  # all stay open

    def start(**offer: str) -> int:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])
                    taken[-1].sendall(b"SSH-2.0-OpenSSH_9.2\r\n" + packet(COMMON | offer))

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    for wire in (listener, *taken):
        wire.close()


@pytest.mark.parametrize(
    ("kind", "there", "here"),
    [
        ("Ciphers", "chacha20-poly1305@openssh.com", "aes256-ctr"),
        ("KexAlgorithms", "sntrup761x25519-sha512@openssh.com", "curve25519-sha256@libssh.org"),
        ("MACs", "umac-128-etm@openssh.com", "hmac-sha2-256"),
    ],
)
def test_what_it_offers_is_named_with_what_would_help(sshd, kind, there, here):
    port = sshd(**{kind: there})
    c = Connection(f"david@127.0.0.1:{port}")
    with pytest.raises(Exit) as caught, clear_errors(c):
        c.open()
    told = caught.value.message
    assert f"no {kind}" in told and here in told and f"`{kind} {there},{ADVISED[kind]}`" in told
    assert "run again" not in told and "\n" not in told
