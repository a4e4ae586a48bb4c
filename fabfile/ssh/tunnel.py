"""A tunnel: a port on this machine leads through SSH to JupyterLab, without DNS or open ports."""

from __future__ import annotations

import contextlib
import shlex
import socket
import threading
import time

from fabric import Connection
from invoke import Exit
from paramiko import Channel, Message, SSHException
from paramiko.common import cMSG_CHANNEL_OPEN

from ..render import program
from ..settings.names import Endpoint
from ..ui.command import FAB
from .errors import name_of

SECONDS = 20  # seconds until a connection on the server must be open
CHUNK = 65536


class Tunnel:
    """A listener on 127.0.0.1 that forwards each connection over an open SSH connection.

    :param endpoint: where JupyterLab listens on the server.
    :param port: the port on this machine; 0 for any free one.
    :param user: the owner of the socket, when root logs in.
    """

    def __init__(self, c: Connection, endpoint: Endpoint, port: int = 0, user: str = ""):
        self.c, self.endpoint = c, endpoint
        self.relayed = bool(endpoint.socket) and user not in ("", c.user)
        self.user, self.relay = user, None
        try:
            self.listener = socket.create_server(("127.0.0.1", port))
        except OSError as problem:
            raise Exit(f"port {port} of this machine is not available ({problem.strerror}): "
                       "choose another with --port, or leave it out") from None  # fmt: skip
        self.port = self.listener.getsockname()[1]

    def open(self):
        """Open one connection to JupyterLab.

        :raises Exit: when it does not run, or sshd forbids forwarding.
        """
        where = name_of(self.c)
        try:
            if not self.relayed:
                return reach(self.c, self.endpoint, SECONDS)
            self.relay = self.relay or Relay(self.c, self.endpoint.socket, self.user)
            return self.relay.reach()
        except SSHException:  # the same error for both
            raise Exit(
                f"{where}: nothing answers at {self.endpoint}: start JupyterLab ({FAB} -H {where} "
                "start), or let sshd forward connections (AllowStreamLocalForwarding and "
                "AllowTcpForwarding in its sshd_config)"
            ) from None

    def begin(self) -> None:
        """Start to accept connections, each in its own thread."""
        threading.Thread(target=self.take, daemon=True).start()

    def take(self) -> None:
        """Accept connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.carry, args=(near,), daemon=True).start()

    def carry(self, near: socket.socket) -> None:
        """Forward one connection in both directions until both ends are done."""
        try:
            far = self.open()
        except Exit as problem:
            refuse(near, problem.message)
            return
        back = threading.Thread(target=pour, args=(far, near), daemon=True)
        back.start()
        pour(near, far)
        back.join()
        near.close()
        far.close()

    def stay(self) -> None:
        """Wait until Ctrl-C, or until the connection is lost.

        :raises Exit: when it was lost.
        """
        while self.c.transport.is_active():
            time.sleep(0.2)
        raise Exit(f"{name_of(self.c)}: the connection was lost; run again")

    def close(self) -> None:
        """Accept no more connections."""
        self.listener.close()


def reach(c: Connection, endpoint: Endpoint, seconds: float):
    """Open a channel to a unix socket on the server, or to a port of its loopback.

    Paramiko does not support `direct-streamlocal@openssh.com` (OpenSSH's PROTOCOL, 2.4), so this
    function opens it as Paramiko's `open_channel` opens other kinds.

    :raises paramiko.SSHException: when nothing listens there, or sshd forbids it.
    """
    transport = c.transport
    if not endpoint.socket:
        there = "127.0.0.1", endpoint.port
        return transport.open_channel("direct-tcpip", there, ("127.0.0.1", 0), timeout=seconds)
    with transport.lock:
        number = transport._next_channel()
        opened = Channel(number)
        transport._channels.put(number, opened)
        transport.channel_events[number] = answered = threading.Event()
        transport.channels_seen[number] = True
        opened._set_transport(transport)
        opened._set_window(transport.default_window_size, transport.default_max_packet_size)
    message = Message()
    message.add_byte(cMSG_CHANNEL_OPEN)
    message.add_string("direct-streamlocal@openssh.com")
    for size in (number, transport.default_window_size, transport.default_max_packet_size):
        message.add_int(size)
    message.add_string(endpoint.socket)
    message.add_string("")  # reserved, as is the number
    message.add_int(0)
    transport._send_user_message(message)
    answered.wait(seconds)
    if transport._channels.get(number) is None or not answered.is_set():
        raise transport.get_exception() or SSHException("sshd opened no channel")
    return opened


class Relay:
    """A relay to a socket in a user's folder, run as that user: sshd would follow a link as root.

    :raises paramiko.SSHException: when it does not start.
    """

    def __init__(self, c: Connection, path: str, user: str):
        self.c = c
        self.session = c.transport.open_session(timeout=SECONDS)  # the relay ends with it
        self.session.settimeout(SECONDS)
        command = shlex.join(["python3", "-Ic", program("relay"), user, path])
        self.session.exec_command(f"cd / && exec {command}")
        with contextlib.suppress(TimeoutError), self.session.makefile() as said:
            self.socket = said.readline(1000).strip()
            if self.socket.startswith("/run/"):
                return
        raise SSHException("the relay did not start on the server")

    def reach(self) -> Channel:
        """Open a connection to the user's socket.

        :raises paramiko.SSHException: when nothing listens there, or sshd forbids it.
        """
        channel = reach(self.c, Endpoint(self.socket), SECONDS)
        channel.settimeout(SECONDS)
        with contextlib.suppress(TimeoutError):
            if channel.recv(1) == b"+":
                channel.settimeout(None)
                return channel
        channel.close()
        raise SSHException("nothing listens there")


def pour(source, sink) -> None:
    """Copy data until its end, then close the sink for writing."""
    with contextlib.suppress(OSError, EOFError):
        while chunk := source.recv(CHUNK):
            sink.sendall(chunk)
    with contextlib.suppress(OSError, EOFError):
        sink.shutdown(socket.SHUT_WR)


def refuse(near: socket.socket, why: str) -> None:
    """Answer the browser with 502 and the reason."""
    text = f"{why}\n".encode()
    head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Length: {len(text)}\r\nConnection: close\r\n"
    with contextlib.suppress(OSError):
        near.settimeout(2)
        near.recv(CHUNK)
        near.sendall(f"{head}Content-Type: text/plain; charset=utf-8\r\n\r\n".encode() + text)
    near.close()
