"""Try attacks on the running server, and say which of them work."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from invoke import Exit

from .. import jupyter
from ..engine.converge import read
from ..python import minimum_versions, requirements
from ..render import program
from ..script import RemoteScript
from ..settings import Settings
from ..ssh import channel, connection
from ..ssh.errors import fab_on, name_of
from ..ui.console import count, more, say

ROW = re.compile(r"audit\|(\w+)\|(closed|open)\|(.*)")
NOTED = {"closed": "closed", "chosen": "allowed", "OPEN": "open"}  # in JSON
EXPOSED = {"standard": "6.6", "strict": "1.4"}  # of 10, as systemd-analyze security counts


def by(name: str, allows: Callable[[object], bool]) -> Callable[[Settings], str]:
    """Return a function that returns `lab.NAME: VALUE`, or "" for a value that allows no attack.

    :param allows: tells whether a value allows an attack on purpose.
    """

    def chosen(settings: Settings) -> str:
        value = getattr(settings, name)
        return f"lab.{name}: {value}" if allows(value) else ""

    return chosen


BY_PORT = by("port", bool)  # every user of the server reaches a loopback port
BY_TLS = by("tls", "off".__eq__)  # others on the network can read everything
BY_SANDBOX = by("sandbox", "standard".__eq__)  # sudo works in it
BY_LIMIT = by("memory_limit", "infinity".__eq__)
BY_RATE = by("login_rate", lambda rate: rate > 60)  # ten logins in a row are accepted
BY_SITE = by("tls", "theirs".__eq__)  # the user's own site has the certificate


@dataclass(frozen=True)
class Threat:
    """A possible attack, and its remedy: a task, and the words after it.

    :param chosen: returns the setting that allows it on purpose, or "".
    """

    what: str
    remedy: str
    chosen: Callable[[Settings], str] = lambda _: ""
    more: str = ""


THREATS = {
    "running": Threat("no attack can be tried", "full"),
    "beside": Threat("another user of the server gets past Nginx to a port", "full", BY_PORT),
    "ports": Threat(
        "another user of the server reaches a program of JupyterLab's user on a port",
        "packages",
        more=" --remove the package that starts it, or stop it in its notebook",
    ),
    "socket": Threat("another user of the server gets past Nginx to the socket", "systemd"),
    "squat": Threat("another user takes JupyterLab's place and gets the password", "full", BY_PORT),
    "kernels": Threat("another user reads what a kernel computes", "full"),
    "tcp": Threat(
        "another user reads what a kernel computes that listens at TCP ports",
        "kernels",
        more=" --list shows kernels that need TCP; use another, or let no other user log in",
    ),
    "files": Threat("another user reads the password hash, the token or notebooks", "full"),
    "guesses": Threat("somebody guesses the password", "nginx", BY_RATE),
    "names": Threat("JupyterLab answers to host names that are not its own", "nginx"),
    "logs": Threat("a log contains a token", "full"),
    "version": Threat("a stranger learns which versions run", "nginx"),
    "pages": Threat("a token is guessed from the length of a compressed page", "nginx"),
    "proxy": Threat("another user's server is shown under JupyterLab's name", "nginx"),
    "headers": Threat("another site frames the pages, or injects code into them", "nginx"),
    "cookies": Threat("another site, or a script, uses a session's cookie", "nginx"),
    "clear": Threat("the password is sent unencrypted", "full", BY_TLS),
    "oldtls": Threat("a browser is downgraded to a broken TLS version", "nginx", BY_SITE),
    "certificate": Threat("the certificate expires soon", "tls", BY_SITE),
    "ca": Threat("a device imports another CA, or finds your CA's private key", "tls"),
    "sandbox": Threat("code in a notebook reaches more of the server than it needs", "systemd"),
    "root": Threat("code in a notebook becomes root by sudo", "full", BY_SANDBOX),
    "memory": Threat("a kernel takes all the memory of the server", "systemd", BY_LIMIT),
    "hole": Threat("jupyter-server has a known vulnerability", "jupyter"),
}


def script(settings: Settings, host, login: str) -> RemoteScript:
    """Return the shell script that tries the attacks, on the server as root.

    :param login: the user who logs in by SSH.
    """
    values = {
        "instance": host.instance,
        "account": host.user,
        "home": host.home,
        "project": host.under(settings.project),
        "runtime": jupyter.runtime(settings, host) or host.under(jupyter.USUAL),
        "venv": host.under(settings.venv),
        "endpoint": settings.endpoint,
        "socket": settings.endpoint.socket,
        "login": login,
        "ports": requirements.proxied(settings, host) or "",
        "domain": settings.url_name,
        "sni": settings.sni,
        "base": settings.base_path,
        "hsts": "yes" if settings.hsts else "",
        "scheme": settings.scheme,
        "port": settings.entrance,
        "http_port": settings.http_port,
        "page": settings.instance.ca_page if settings.tls == "self-signed" else "",
        "exposed": EXPOSED[settings.sandbox],
        "find_publishers_py": program("find_publishers"),
        "foreign_server_py": program("foreign_server"),
        "minimum": minimum_versions.floors()[minimum_versions.SERVER][0].partition(">=")[2],
    }
    return RemoteScript(("lib/read", "lib/users", "run/audit"), values)


def audit(c, settings):
    if c.config.run.dry:
        for threat in THREATS.values():
            say(f"  would try whether {threat.what}")
        return
    connection.open_connection(c, settings)
    host = read(c, [], settings).host
    words = list(channel.apply(c, script(settings, host, c.user), host.root))
    told = [row.groups() for row in map(ROW.fullmatch, words) if row]
    rows = [row for row in told if row[0] in THREATS]
    if not rows:
        raise Exit(f"{name_of(c)}: no attack ran; last output: {' '.join(words[-3:]) or 'none'}")
    number = {"closed": 0, "OPEN": 0, "chosen": 0}
    for name, state, proof in rows:
        threat = THREATS[name]
        chosen = threat.chosen(settings)
        state = state if state == "closed" else "chosen" if chosen else "OPEN"
        number[state] += 1
        remedy = f"{fab_on(c)} {threat.remedy}{threat.more}"
        why = {"OPEN": {"remedy": remedy}, "chosen": {"setting": chosen}}.get(state, {})
        one = {"name": name, "threat": threat.what, "state": NOTED[state], "proof": proof}
        more("threats", one | why)
        say(f"  {state:<7} {threat.what}", routine=state == "closed")
        say(f"          {proof}", routine=state == "closed")
        if state == "chosen":
            say(f"          allowed by {chosen}")
        elif state == "OPEN":
            say(f"          remedy: {remedy}")
    for note in (word.removeprefix("note|") for word in words if word.startswith("note|")):
        say(f"  note    {note}")
    told = f"{number['closed']} of {count(len(rows), 'threat')} closed"
    told += f", {number['chosen']} allowed by your settings" if number["chosen"] else ""
    if number["OPEN"]:
        raise Exit(f"{name_of(c)}: {told}, {number['OPEN']} open that should be closed")
    say(f"{name_of(c)}: {told}")
