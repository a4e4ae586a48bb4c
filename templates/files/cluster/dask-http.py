# Written by `fab cluster`; changes made here are replaced by its next run.
"""What the scheduler and the workers show by HTTP is on no port, where every user could read it.

Dask loads this before it would open one. Where systemd hands on a socket, it is on that:
sd_listen_fds(3).
"""

import os
import socket

from distributed.http.routing import RoutingApplication
from distributed.node import ServerNode
from tornado.httpserver import HTTPServer


def start_http_server(self, routes, dashboard_address, default_port=0, ssl_options=None):
    """Take the place of the method of this name, which listens on a TCP port."""
    self.http_application = RoutingApplication(routes)
    self.http_server = HTTPServer(self.http_application)
    self.http_server.port = 0
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        held = socket.socket(fileno=3)
        held.setblocking(False)
        held.set_inheritable(False)
        self.http_server.add_socket(held)
        self.services["dashboard"] = self.http_server  # a client then shows the link to it


ServerNode.start_http_server = start_http_server
