# Written by `fab cluster`; changes made here are replaced by its next run.
"""Serve HTTP of the scheduler and the workers on no TCP port, where every user could read it.

Dask loads this before it opens the port. If systemd passes a socket, HTTP is served there:
sd_listen_fds(3).
"""

import os
import socket

from distributed.http.routing import RoutingApplication
from distributed.node import ServerNode
from tornado.httpserver import HTTPServer


def start_http_server(self, routes, dashboard_address, default_port=0, ssl_options=None):
    """Replace the method of this name, which listens on a TCP port."""
    self.http_application = RoutingApplication(routes)
    self.http_server = HTTPServer(self.http_application)
    self.http_server.port = 0
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        held = socket.socket(fileno=3)
        held.setblocking(False)
        held.set_inheritable(False)
        self.http_server.add_socket(held)
        self.services["dashboard"] = self.http_server  # clients then show the link to it


ServerNode.start_http_server = start_http_server
