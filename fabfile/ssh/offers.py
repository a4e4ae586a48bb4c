"""The algorithms that sshd offers: read when it has none in common with this side."""

from __future__ import annotations

import contextlib
import socket
import struct

from fabric import Connection
from paramiko import Message

SECONDS = 10
PACKET = 35000  # bytes: the longest packet that RFC 4253 allows
KINDS = "KexAlgorithms", "HostKeyAlgorithms", "Ciphers", "Ciphers", "MACs", "MACs"  # in its order
NO_ALGORITHM = "ext-info-", "kex-strict-"  # what RFC 8308 and OpenSSH announce among these
# Every OpenSSH since 6.5 knows these, and so does Paramiko.
ADVISED = {
    "KexAlgorithms": "curve25519-sha256@libssh.org",
    "HostKeyAlgorithms": "ssh-ed25519",
    "Ciphers": "aes256-ctr",
    "MACs": "hmac-sha2-256",
}


def offered(host: str, port: int) -> dict[str, list[str]]:
    """Return the options of sshd_config -> the algorithms that sshd offers (RFC 4253, 7.1).

    :raises OSError: when it does not answer. :raises ValueError: when it does not speak SSH.
    """
    with socket.create_connection((host, port), SECONDS) as wire, wire.makefile("rb") as answer:
        wire.sendall(b"SSH-2.0-fab\r\n")
        while not (line := answer.readline(256)).startswith(b"SSH-"):
            if not line:
                raise ValueError("no SSH")
        size, _ = struct.unpack(">IB", answer.read(5).ljust(5, b"\0"))
        payload = answer.read(min(size - 1, PACKET))[17:]  # after its kind and a cookie
    message = Message(payload)
    return {kind: message.get_list() for kind in KINDS}


def unlike(c: Connection) -> str:
    """Return what sshd offers, what this side knows, and the remedy; "" if that is not known."""
    ours = c.client.get_transport().get_security_options()
    known = dict(zip(dict.fromkeys(KINDS), (ours.kex, ours.key_types, ours.ciphers, ours.digests),
                     strict=True))  # fmt: skip
    with contextlib.suppress(OSError, ValueError):
        for kind, names in offered(c.host, c.port).items():
            names = [name for name in names if not name.startswith(NO_ALGORITHM)]
            if names and not set(names) & set(known[kind]):
                line = f"{kind} {','.join([*names, ADVISED[kind]])}"
                return (f"sshd offers no {kind} that this side knows: it offers "
                        f"{', '.join(names)}; this side knows {', '.join(known[kind])}: make the "
                        f"line {kind} of the server's /etc/ssh/sshd_config (or sshd_config.d) "
                        f"`{line}`, then: systemctl reload ssh")  # fmt: skip
    return ""
