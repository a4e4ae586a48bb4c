"""The checks that show that JupyterLab works: on the server, and from this machine."""

from __future__ import annotations

import re
import socket
import time

from .. import jupyter
from ..certs import selection
from ..certs.acme_preflight import routed
from ..engine.plan import whose
from ..render import program
from ..script import RemoteScript
from ..settings import Settings
from ..ui.command import FAB
from ..web import ERRORS, answer, connected

ROW = re.compile(r"(jupyter|nginx|cluster)\|([^|]*)\|(ok|FAIL)\|(\d+(?:\.\d+)?)\|(.*)")
HOPS = {
    "jupyter": "JupyterLab itself",
    "nginx": "Nginx on the server",
    "cluster": "the cluster",
    "here": "from here",
}


def endpoints(settings: Settings) -> dict[str, object]:
    """Return the shell variables that say where JupyterLab and Nginx listen on the server."""
    return {
        "socket": settings.endpoint.socket,
        "domain": settings.url_name,
        "base": settings.base_path,
        "scheme": settings.scheme,
        "port": settings.entrance,
        "http_port": settings.http_port,
    }


def script(settings: Settings) -> RemoteScript:
    """Return the shell script with the checks on the server."""
    values = {
        **endpoints(settings),
        "endpoint": settings.endpoint,
        "certificate": selection.expected(settings),
        "what": "the password" if settings.password else "the token",
        "run_in_kernel_py": program("run_in_kernel"),
        "worker_hosts_py": program("worker_hosts"),
        "members": settings.instance.members,
    }
    paths = {"token_file": jupyter.TOKEN, "python": f"{settings.venv}/bin/python"}
    return RemoteScript(("lib/whose", "run/verify"), whose(settings) | values, paths)


def from_here(settings: Settings, address: str) -> tuple[str, str, float, str]:
    """Request the login page from this machine, without a secret: the way may be unencrypted.

    :param address: the address to connect to; empty to resolve the name.
    :returns: check, ok / FAIL / skip, seconds, detail.
    """
    check, began = f"the site {settings.domain} leads to the login page", time.monotonic()
    where = address or settings.domain, settings.entrance
    if settings.numeric and not routed(where[0]):
        return check, "skip", 0.0, f"this machine has no route to {where[0]}: it has no IPv6"
    try:
        socket.getaddrinfo(*where)
    except OSError:
        return check, "skip", 0.0, f"unknown name {settings.domain}: add it with `{FAB} hosts`"
    try:
        context = selection.trust(settings) if settings.secure else None
        wire = connected(*where, context, settings.domain)
        with answer(wire, f"{settings.base_path}/lab", {"Host": settings.host}) as page:
            place = page.getheader("Location", "")
    except ERRORS as problem:
        if settings.tls == "theirs" and "CERTIFICATE" in str(problem):
            return check, "skip", 0.0, f"this machine does not trust the certificate: {problem}"
        return check, "FAIL", 0.0, str(problem)
    well = page.status == 302 and "/login" in place
    return check, "ok" if well else "FAIL", time.monotonic() - began, f"{page.status} {place}"
