"""What people's JupyterLab suffers from: symptom, cause, remedy, and what proves it. Pure.

In the order of what causes what. `verify` takes the cause of what it finds from here, `doctor`
looks for all of them, and docs/symptoms.md is made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import check_jupyter, check_network, check_nginx
from .evidence import Evidence

ANSWERS, LAB = "answers on its socket", "/lab leads"
KERNEL, SOCKET, ASKED = "a kernel", "a websocket", "6*7"
NAME = "the name"
SILENT = ("proof", "front-lost")  # what follows where Nginx does not answer


@dataclass(frozen=True)
class Ailment:
    """One of them.

    :param symptom: what people see; :param cause: why.
    :param remedy: a command, or what to do; `{fab}` stands for `fab -H david@1.1.1.1`.
    :param found: gives the proof, or nothing; None for one that only `verify` finds.
    :param signs: checks of `verify` that fail by it, each with a word of the answer.
    :param hides: those that follow from it, and are not told beside it; `proof`: what verify found.
    :param mild: told, but nothing fails by it yet.
    """

    name: str
    symptom: str
    cause: str
    remedy: str
    found: Callable[[Evidence], str] | None = None
    signs: tuple[tuple[str, str], ...] = ()
    hides: tuple[str, ...] = ()
    mild: bool = False


AILMENTS = (
    # --- the machine
    Ailment("sudo", "`sudo ... refuses`", "the login user may not use sudo",
            "let {user} use sudo there; without it less can be seen",
            check_jupyter.no_root, mild=True),
    Ailment("absent", "nothing answers", "JupyterLab was never set up there", "{fab} full",
            check_jupyter.absent, hides=("*",)),
    Ailment("full", "502, or notebooks cannot be saved", "the disk is full",
            "make room there, then {fab} start", check_jupyter.full,
            hides=("crash", "no-venv", "low", "proof")),
    Ailment("inodes", "`No space left on device`, though there is room", "there are too many files",
            "remove files there, as of caches and sessions, then {fab} start",
            check_jupyter.no_inodes,
            hides=("crash", "no-venv", "low", "proof")),
    Ailment("clock", "certificates are not yet valid, or logins end at once", "a clock is wrong",
            "sudo timedatectl set-ntp true (on Debian apt install systemd-timesyncd first), or set "
            "this machine's clock", check_jupyter.clock),
    # --- JupyterLab
    Ailment("masked", "502", "JupyterLab's unit is masked", "{fab} systemd", check_jupyter.masked,
            hides=("proof",)),
    Ailment("no-venv", "502", "the venv is damaged or gone",
            "{fab} jupyter --anew, then {fab} start", check_jupyter.no_program,
            hides=("crash", "proof")),
    Ailment("killed", "502", "JupyterLab had no memory left",
            "close kernels, raise lab.memory_limit or give the server more, then {fab} start",
            check_jupyter.no_memory, hides=("crash", "killed-lately", "proof")),
    Ailment("stopped", "502", "JupyterLab does not run", "{fab} start", check_jupyter.stopped,
            ((ANSWERS, "curl: (7)"),), ("proof",)),
    Ailment("crash", "502", "JupyterLab fails, and says why",
            "mend what it says, then {fab} full; {fab} logs shows all of it",
            check_jupyter.crashing,
            ((ANSWERS, "curl: (7)"),), ("proof",)),
    Ailment("folder", "502", "Nginx cannot enter the folder of JupyterLab's socket",
            "{fab} systemd", check_jupyter.shut_folder, ((LAB, "502"),), ("socket", "proof")),
    Ailment("socket", "502", "Nginx may not open JupyterLab's socket",
            "{fab} systemd, then {fab} restart",
            check_jupyter.shut_socket, ((LAB, "502"),), ("proof",)),
    Ailment("hangs", "the page loads forever, 504", "JupyterLab does not start", "{fab} full",
            None, ((ANSWERS, "curl: (28)"),)),
    Ailment("changed", "odd pages", "JupyterLab runs, but not as configured", "{fab} full",
            None, ((ANSWERS, ""),)),
    Ailment("packages", "`curl is not installed`", "the packages are incomplete", "{fab} deps",
            None, (("curl", ""),)),
    # --- Nginx
    Ailment("config", "changes have no effect; nothing answers after a reboot",
            "Nginx's configuration is invalid", "mend the line that it names, then {fab} nginx",
            check_nginx.rejected, ((LAB, "curl: (7)"),),
            ("nginx-down", *SILENT)),
    Ailment("taken", "another page, or none", "another program has the port of Nginx",
            "stop that program, or choose another lab.http_port; then {fab} nginx",
            check_nginx.taken,
            ((LAB, "curl: (7)"),), ("nginx-down", *SILENT)),
    Ailment("nginx-masked", "connection refused", "Nginx's unit is masked",
            "sudo systemctl unmask nginx.service, then {fab} nginx", check_nginx.nginx_masked,
            ((LAB, "curl: (7)"),), ("nginx-down", *SILENT)),
    Ailment("nginx-down", "connection refused", "Nginx does not run, or on another port",
            "{fab} nginx", check_nginx.nginx_down, ((LAB, "curl: (7)"),), SILENT),
    Ailment("no-site", "another page, or an empty answer",
            "JupyterLab's site is not enabled in Nginx", "{fab} nginx", check_nginx.no_site,
            ((LAB, "curl: (52)"), (LAB, "curl: (35)")), SILENT),
    Ailment("theirs", "`http:` leads to `https:`", "the site that JupyterLab is in has HTTPS",
            "set lab.tls: theirs, then {fab} full", None, ((LAB, "301 https"),)),
    Ailment("two-sites", "another page", "another site of this server answers to the name",
            "{apart}", check_nginx.two_sites, ((LAB, ""),),
            ("upgrade", "host", "body", "timeout", "proof")),
    Ailment("upgrade", "kernels connect forever, terminals stay empty",
            "the upgrade headers do not reach JupyterLab", "{fab} nginx", check_nginx.upgrade,
            ((SOCKET, ""),), ("proof",)),
    Ailment("host", "websocket 403, POST 404", "Nginx tells JupyterLab a name without the port",
            "{fab} nginx", check_nginx.host, ((SOCKET, "403"), (KERNEL, "404")), ("proof",)),
    Ailment("body", "413 at an upload, or at saving a notebook with plots",
            "Nginx takes no bodies of that size", "{fab} nginx", check_nginx.small_body),
    Ailment("body-chosen", "413 at an upload", "the settings take no bodies of that size",
            "set lab.upload_limit: 64m, then {fab} nginx", check_nginx.small_chosen),
    Ailment("timeout", "504 after a minute", "Nginx does not wait long enough for an answer",
            "{fab} nginx", check_nginx.timeout),
    # --- certificates
    Ailment("expired", "the browser warns", "the certificate has expired",
            "{fab} tls (with lab.tls: files first give it a new one)", check_nginx.expired,
            ((LAB, "expired"), (NAME, "has expired")), ("proof", "untrusted")),
    Ailment("early", "the browser warns", "the certificate is not valid yet",
            "correct the clocks, or {fab} tls with one that is", check_nginx.too_early,
            ((NAME, "not yet valid"),), ("proof", "untrusted")),
    Ailment("other-name", "the browser warns", "the certificate is for another name",
            "{fab} tls (with lab.tls: files first give it one for {domain})",
            check_nginx.other_name,
            ((NAME, "match"),), ("proof", "untrusted")),
    Ailment("no-https", "`http:` stays", "Nginx serves the site without HTTPS", "{fab} tls", None,
            (("plain HTTP", ""),)),
    Ailment("no-certificate", "no page by https:", "there is no certificate yet", "{fab} tls",
            check_nginx.no_certificate, ((LAB, "curl: (77)"),), ("proof", "untrusted")),
    Ailment("other-certificate", "the browser warns", "Nginx serves another certificate",
            "{fab} tls", None, ((LAB, "curl: (60)"),)),
    # --- login and kernels
    Ailment("configuration", "odd answers", "JupyterLab runs with another configuration",
            "{fab} full", None, (("a wrong password", ""),)),
    Ailment("password", "`Invalid credentials`", "LAB_PASSWORD is not the password that is set",
            "{fab} password", None, (("the password", "401"),)),
    Ailment("token", "`Invalid credentials`", "JupyterLab runs with another token",
            "{fab} systemd", None, (("the token", "401"),)),
    Ailment("no-kernel", "the kernel dies at its start", "no kernel starts: the venv is damaged",
            "{fab} jupyter --anew", None, ((KERNEL, ""), (SOCKET, "none"))),
    Ailment("dead-kernel", "cells stay at [*]",
            "the websocket opens, but the kernel does not answer", "{fab} jupyter --anew", None,
            ((ASKED, ""),)),
    # --- the way from here
    Ailment("unknown-name", "server not found", "the name has no address for this machine",
            "give {name} one in the DNS, or for this machine {fab} hosts", check_network.unknown,
            mild=True),
    Ailment("front-lost", "502 or 504 of another server",
            "a proxy in front does not get through to this server",
            "there: proxy_pass {origin}; proxy_set_header Host $http_host;",
            check_network.no_way_back),
    Ailment("elsewhere", "another page, or none", "the name points to another machine",
            "lead {name} to {server} in the DNS, or for this machine {fab} hosts",
            check_network.elsewhere,
            ((NAME, ""), (NAME, "timed out"), (NAME, "refused")), ("untrusted",)),
    Ailment("banned", "nothing answers any more, from one place", "fail2ban has banned an address",
            "on the server: sudo fail2ban-client unban --all", check_network.banned,
            hides=("firewall", "ufw", "between")),
    Ailment("firewall", "no page from elsewhere", "the server's firewall is closed",
            "open port {port} in it: sudo nft list ruleset, /etc/nftables.conf",
            check_network.firewall,
            ((NAME, "timed out"), (NAME, "refused"))),
    Ailment("ufw", "no page from elsewhere", "the server's firewall is closed",
            "on the server: sudo ufw allow {port}/tcp", check_network.ufw,
            ((NAME, "timed out"), (NAME, "refused"))),
    Ailment("between", "no page from elsewhere", "a firewall on the way is closed",
            "open port {port} to {server} at its provider", check_network.between,
            ((NAME, "timed out"), (NAME, "refused"))),
    Ailment("sub-path", "404 after the login",
            "a proxy in front has JupyterLab under a path of its own",
            "set lab.base_path: {prefix} and {fab} full; there: location {prefix}/ {{ proxy_pass "
            "{origin}; }}, without a path after it", check_network.rewritten, hides=("front",)),
    Ailment("front-upgrade", "kernels connect forever, terminals stay empty",
            "a proxy in front takes the upgrade headers away",
            "there: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
            'proxy_set_header Connection "upgrade";', check_network.no_upgrade, hides=("front",)),
    Ailment("front-host", "websocket 403, POST 404", "a proxy in front gives us another name",
            "there: proxy_set_header Host $http_host;", check_network.no_host, hides=("front",)),
    Ailment("front-body", "413 at an upload", "a proxy in front takes no bodies of that size",
            "there: client_max_body_size 64m;", check_network.front_body, hides=("front",)),
    Ailment("front", "504 after a minute, output that comes late", "another proxy stands in front",
            "its time-outs cannot be seen from here; there: proxy_read_timeout 1d; "
            "proxy_buffering off;", check_network.in_front, mild=True),
    Ailment("untrusted", "the browser warns", "this machine does not trust who issued it",
            "{fab} tls --status", check_network.untrusted, ((NAME, "CERTIFICATE"),)),
    Ailment("beside", "another page", "something else answers to the name", "{fab} full",
            check_network.nothing_there),
    Ailment("unlike", "", "something on this way is not as it was set up", "{fab} full", None,
            (("", ""),)),
    # --- not yet
    Ailment("soon", "", "the certificate ends soon", "{fab} tls", check_nginx.ends_soon, mild=True),
    Ailment("low", "", "the disk is nearly full", "make room there", check_jupyter.low, mild=True),
    Ailment("killed-lately", "kernels end by themselves", "a kernel had no memory left",
            "close others, raise lab.memory_limit or give the server more",
            check_jupyter.killed_lately,
            mild=True),
)  # fmt: skip
