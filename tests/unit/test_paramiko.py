"""The private calls of Paramiko that ssh/ uses: a new version must still have them."""

import socket
import threading
from types import SimpleNamespace

import paramiko
import pytest

from fabfile.settings.names import Endpoint
from fabfile.ssh import channel, tunnel
from fabfile.ssh.errors import greeting

SOCKET = "/run/jupyterlab/socket"


class Server(paramiko.ServerInterface):
    """A server that greets, accepts every login and channel, and notes what it is asked for."""

    def __init__(self):
        self.kinds, self.commands, self.asked = [], [], threading.Event()

    def get_banner(self):
        return "System is booting up.", "en"

    def check_auth_none(self, username):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        self.kinds.append(kind)
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self.commands.append(command)
        self.asked.set()
        return True


@pytest.fixture
def wire():
    """A connection to a server in this process: Paramiko on both sides."""
    here, there = socket.socketpair()
    remote, local = paramiko.Transport(there), paramiko.Transport(here)
    with here, there:
        remote.add_server_key(paramiko.RSAKey.generate(2048))
        server = Server()
        remote.start_server(event=threading.Event(), server=server)  # without one it would wait
        local.start_client(timeout=10)
        local.auth_none("david")
        c = SimpleNamespace(transport=local, client=SimpleNamespace(get_transport=lambda: local))
        yield c, server, remote
        for transport in (local, remote):
            transport.close()
            transport.join()


def test_a_channel_to_a_unix_socket_carries_bytes_both_ways(wire):
    c, server, remote = wire
    near = tunnel.reach(c, Endpoint(SOCKET), 10)
    far = remote.accept(10)
    assert server.kinds == ["direct-streamlocal@openssh.com"]
    near.sendall(b"GET /")
    assert far.recv(5) == b"GET /"
    far.sendall(b"200")
    assert near.recv(3) == b"200"


def test_a_command_is_sent_without_asking_for_a_confirmation(wire):
    c, server, _ = wire
    session = c.transport.open_session(timeout=10)
    channel.execute(session, "true")
    assert server.asked.wait(10) and server.commands == [b"true"]


def test_the_greeting_is_kept_after_the_login(wire):
    assert greeting(wire[0]) == "System is booting up."
