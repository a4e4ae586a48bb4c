"""The known causes of trouble: symptom, cause, remedy, and the function that proves it. No I/O.

A cause stands before its consequences. `verify` names the likely cause of a failed check, `doctor`
looks for every cause, and docs/symptoms.md is generated from this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import check_jupyter, check_network, check_nginx, libraries
from .evidence import Evidence

ANSWERS, LAB = "answers on its socket", "/lab leads"
KERNEL, SOCKET, ASKED = "a kernel", "a websocket", "6*7"
NAME = "the site"
SILENT = ("proof", "front-lost")  # consequences of an Nginx that does not answer


@dataclass(frozen=True)
class Cause:
    """A cause of trouble.

    :param symptom: what people see; :param why: why they see it.
    :param remedy: a command or an instruction; `{fab}` stands for `fab -H david@1.1.1.1`.
    :param found: returns the proof, or ""; None if only a failed check of `verify` shows the cause.
    :param signs: checks of `verify` that fail because of it, each with a word of their answer.
    :param hides: names of consequences, which are not reported as well; `proof`: the failed check.
    :param mild: a warning; `doctor` does not exit with 1 because of it.
    """

    name: str
    symptom: str
    why: str
    remedy: str
    found: Callable[[Evidence], str] | None = None
    signs: tuple[tuple[str, str], ...] = ()
    hides: tuple[str, ...] = ()
    mild: bool = False


CAUSES = (
    # --- the server
    Cause("sudo", "`may not use sudo`", "the login user is not allowed to use sudo",
            "allow {user} to use sudo on the server; without it doctor sees less",
            check_jupyter.no_root, mild=True),
    Cause("full", "502, or notebooks cannot be saved", "the disk is full",
            "make room on the server, then {fab} start", check_jupyter.full,
            hides=("crash", "no-venv", "low", "proof")),
    Cause("inodes", "`No space left on device`, though there is room", "there are too many files",
            "delete files on the server, such as caches and old sessions, then {fab} start",
            check_jupyter.no_inodes, hides=("crash", "no-venv", "low", "proof")),
    Cause("clock", "certificates are not yet valid, or logins end at once", "a clock is wrong",
            "on the server: sudo timedatectl set-ntp true (on Debian first apt install "
            "systemd-timesyncd); or set this machine's clock", check_jupyter.clock),
    Cause("absent", "nothing answers", "JupyterLab is not set up on this server", "{fab} full",
            check_jupyter.absent, hides=("*",)),
    # --- JupyterLab
    Cause("masked", "502", "JupyterLab's unit is masked", "{fab} systemd", check_jupyter.masked,
            hides=("proof",)),
    Cause("other-python", "500 or 502 after an upgrade of Debian",
            "the venv was made with another Python", "{fab} full", check_jupyter.other_python,
            hides=("no-venv", "stopped", "crash", "proof")),
    Cause("no-venv", "502", "the venv is damaged or missing",
            "{fab} jupyter --anew, then {fab} start", check_jupyter.no_program,
            hides=("crash", "proof")),
    Cause("killed", "502", "JupyterLab ran out of memory",
            "shut down kernels, raise lab.memory_limit or add memory, then {fab} start",
            check_jupyter.no_memory, hides=("crash", "killed-lately", "proof")),
    Cause("stopped", "502", "JupyterLab is not running", "{fab} start", check_jupyter.stopped,
            ((ANSWERS, "curl: (7)"),), ("proof",)),
    Cause("crash", "502", "JupyterLab exits with an error",
            "fix that error, then {fab} full; {fab} logs shows the whole message",
            check_jupyter.crashing, ((ANSWERS, "curl: (7)"),), ("proof",)),
    Cause("overruled", "a setting in `jupyter_server_config.py` has no effect",
            "a configuration file contradicts the settings, which count more",
            "remove it there; lab.port, lab.base_path and lab.tls say where JupyterLab answers",
            check_jupyter.overruled, mild=True),
    Cause("folder", "502", "Nginx has no permission to enter the folder of JupyterLab's socket",
            "{fab} systemd", check_jupyter.shut_folder, ((LAB, "502"),), ("socket", "proof")),
    Cause("socket", "502", "Nginx has no permission to open JupyterLab's socket",
            "{fab} systemd, then {fab} restart",
            check_jupyter.shut_socket, ((LAB, "502"),), ("proof",)),
    Cause("hangs", "the page loads forever, 504", "JupyterLab does not start", "{fab} full",
            None, ((ANSWERS, "curl: (28)"),)),
    Cause("changed", "unexpected pages", "JupyterLab runs, but not as configured", "{fab} full",
            None, ((ANSWERS, ""),)),
    Cause("packages", "`curl is not installed`", "Debian packages are missing", "{fab} deps",
            None, (("curl", ""),)),
    # --- Nginx
    Cause("config", "changes have no effect; nothing answers after a reboot",
            "Nginx's configuration is invalid", "fix the line that Nginx names, then {fab} nginx",
            check_nginx.rejected, ((LAB, "curl: (7)"),),
            ("nginx-down", "unloaded", *SILENT)),
    Cause("taken", "another page, or none", "another program listens on Nginx's port",
            "stop that program, or choose another lab.http_port; then {fab} nginx",
            check_nginx.taken, ((LAB, "curl: (7)"),), ("nginx-down", *SILENT)),
    Cause("nginx-masked", "connection refused", "Nginx's unit is masked",
            "on the server: sudo systemctl unmask nginx.service; then {fab} nginx",
            check_nginx.nginx_masked, ((LAB, "curl: (7)"),), ("nginx-down", *SILENT)),
    Cause("nginx-down", "connection refused", "Nginx is not running, or listens on another port",
            "{fab} nginx", check_nginx.nginx_down, ((LAB, "curl: (7)"),), SILENT),
    Cause("unloaded", "changes have no effect; nothing answers after a reboot",
            "Nginx could not load its configuration, and serves with an older one",
            "fix the line that Nginx names, or {fab} nginx if that is ours; then on the server: "
            "sudo systemctl restart nginx", check_nginx.unloaded,
            hides=("no-site", "apart", "two-sites", *SILENT)),
    Cause("apart", "another page, at one address of the server; nothing answers after a reboot",
            "our site does not listen as the other sites require",
            "{fab} nginx, by a user who may read that file", check_nginx.apart,
            hides=("two-sites", *SILENT)),
    Cause("no-site", "another page, or an empty answer",
            "JupyterLab's site is not enabled in Nginx", "{fab} nginx", check_nginx.no_site,
            ((LAB, "curl: (52)"), (LAB, "curl: (35)")), ("body", "body-chosen", *SILENT)),
    Cause("theirs", "`http:` redirects to `https:`", "the site that serves JupyterLab has HTTPS",
            "set lab.tls: theirs, then {fab} full", None, ((LAB, "301 https"),)),
    Cause("http2", "no page, `curl: (1) Received HTTP/0.9`",
            "another site has `http2` without `ssl` at this port, which then speaks HTTP/2 alone",
            "on the server remove http2 from that `listen` (browsers use it with HTTPS only), then "
            "sudo systemctl reload nginx", None, ((LAB, "HTTP/0.9"),)),
    Cause("two-sites", "another page", "another site on this server answers for the name",
            "{apart}", check_nginx.two_sites, ((LAB, ""),),
            ("upgrade", "host", "body", "timeout", "proof")),
    Cause("upgrade", "kernels keep connecting, terminals stay empty",
            "the Upgrade headers do not reach JupyterLab", "{fab} nginx", check_nginx.upgrade,
            ((SOCKET, ""),), ("proof",)),
    Cause("host", "websocket 403, POST 404", "Nginx passes the host name on without the port",
            "{fab} nginx", check_nginx.host, ((SOCKET, "403"), (KERNEL, "404")), ("proof",)),
    Cause("body", "413 when uploading, or when saving a notebook with plots",
            "Nginx rejects request bodies of that size", "{fab} nginx", check_nginx.small_body),
    Cause("body-chosen", "413 when uploading", "the upload limit in the settings is too low",
            "set lab.upload_limit: 64m, then {fab} nginx", check_nginx.small_chosen),
    Cause("timeout", "504 after a minute", "Nginx does not wait long enough for an answer",
            "{fab} nginx", check_nginx.timeout),
    # --- certificates
    Cause("timer", "the certificate is not renewed", "certbot's timer does not run", "{fab} tls",
            check_nginx.timer_off, hides=("not-handed", "unrenewed")),
    Cause("not-handed", "the certificate is not renewed",
            "certbot has a new certificate, but could not give it to Nginx",
            "fix what Nginx says, then {fab} tls", check_nginx.not_handed_on,
            hides=("unrenewed", "expired", "proof", "untrusted")),
    Cause("unrenewed", "the certificate is not renewed", "certbot cannot renew the certificate",
            "fix what certbot says, then {fab} tls", check_nginx.not_renewed,
            hides=("expired", "proof", "untrusted")),
    Cause("expired", "the browser warns", "the certificate has expired",
            "{fab} tls (with lab.tls: files, get a new certificate first)", check_nginx.expired,
            ((LAB, "expired"), (NAME, "has expired")), ("proof", "untrusted")),
    Cause("early", "the browser warns", "the certificate is not valid yet",
            "correct the clocks, or {fab} tls with a valid certificate", check_nginx.too_early,
            ((NAME, "not yet valid"),), ("proof", "untrusted")),
    Cause("other-name", "the browser warns", "the certificate is for another name",
            "{fab} tls (with lab.tls: files, get a certificate for {domain} first)",
            check_nginx.other_name, ((NAME, "match"),), ("proof", "untrusted")),
    Cause("no-https", "the address stays `http:`", "Nginx serves the site without HTTPS",
            "{fab} tls", None, (("plain HTTP", ""),)),
    Cause("no-certificate", "no page over https:", "there is no certificate yet", "{fab} tls",
            check_nginx.no_certificate, ((LAB, "curl: (77)"),), ("proof", "untrusted")),
    Cause("other-certificate", "the browser warns", "Nginx serves another certificate",
            "{fab} tls", None, ((LAB, "curl: (60)"),)),
    # --- login and kernels
    Cause("configuration", "unexpected answers", "JupyterLab runs with another configuration",
            "{fab} full", None, (("a wrong password", ""),)),
    Cause("password", "`Invalid credentials`", "LAB_PASSWORD is not the password that is set",
            "{fab} password", None, (("the password", "401"),)),
    Cause("token", "`Invalid credentials`", "JupyterLab runs with another token",
            "{fab} systemd", None, (("the token", "401"),)),
    Cause("no-kernel", "the kernel dies when it starts", "no kernel starts: the venv is damaged",
            "{fab} jupyter --anew", None, ((KERNEL, ""), (SOCKET, "none"))),
    Cause("dead-kernel", "cells stay at [*]",
            "the websocket opens, but the kernel does not answer", "{fab} jupyter --anew", None,
            ((ASKED, ""),)),
    # --- between this machine and the server
    Cause("unknown-name", "server not found", "this machine finds no address for the name",
            "add {name} to the DNS, or for this machine alone: {fab} hosts", check_network.unknown,
            mild=True),
    Cause("front-lost", "502 or 504 from another server",
            "a reverse proxy in front cannot reach this server",
            "in the proxy: proxy_pass {origin}; proxy_set_header Host $http_host;",
            check_network.no_way_back),
    Cause("elsewhere", "another page, or none", "the name points to another machine",
            "{lead}",
            check_network.elsewhere,
            ((NAME, ""), (NAME, "timed out"), (NAME, "refused")), ("untrusted",)),
    Cause("banned", "suddenly no answer, for one address only", "fail2ban has banned an address",
            "on the server: sudo fail2ban-client unban --all", check_network.banned,
            hides=("firewall", "ufw", "between")),
    Cause("firewall", "no page from outside", "the server's firewall blocks the port",
            "open port {port} on the server: sudo nft list ruleset, /etc/nftables.conf",
            check_network.firewall,
            ((NAME, "timed out"), (NAME, "refused"))),
    Cause("ufw", "no page from outside", "the server's firewall blocks the port",
            "on the server: sudo ufw allow {port}/tcp", check_network.ufw,
            ((NAME, "timed out"), (NAME, "refused"))),
    Cause("between", "no page from outside", "a firewall on the way blocks the port",
            "open port {port} of {server} in its provider's firewall", check_network.between,
            ((NAME, "timed out"), (NAME, "refused"))),
    Cause("sub-path", "404 after the login",
            "a reverse proxy in front serves JupyterLab under another path",
            "set lab.base_path: {prefix}, then {fab} full; in the proxy: location {prefix}/ "
            "{{ proxy_pass {origin}; }}, with no path after the address",
            check_network.rewritten, hides=("front",)),
    Cause("front-upgrade", "kernels keep connecting, terminals stay empty",
            "a reverse proxy in front removes the Upgrade headers",
            "in the proxy: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
            'proxy_set_header Connection "upgrade";', check_network.no_upgrade, hides=("front",)),
    Cause("front-host", "websocket 403, POST 404",
            "a reverse proxy in front changes the host name", "in the proxy: "
            "proxy_set_header Host $http_host;", check_network.no_host, hides=("front",)),
    Cause("front-body", "413 when uploading",
            "a reverse proxy in front rejects request bodies of that size",
            "in the proxy: client_max_body_size 64m;", check_network.front_body, hides=("front",)),
    Cause("front", "504 after a minute, output arrives late", "a reverse proxy stands in front",
            "its timeouts cannot be seen from here; in the proxy: proxy_read_timeout 1d; "
            "proxy_buffering off;", check_network.in_front, mild=True),
    Cause("untrusted", "the browser warns", "this machine does not trust the certificate",
            "{fab} tls --status", check_network.untrusted, ((NAME, "CERTIFICATE"),)),
    Cause("beside", "another page", "something else answers for the name", "{fab} full",
            check_network.nothing_there),
    Cause("unlike", "", "something is not as it was set up", "{fab} full", None, (("", ""),)),
    # --- warnings
    Cause("blank", "a plot or a map stays empty",
            "a library loads from origins that pages may not load from",
            "add to lab.content_from those that you use, then {fab} nginx",
            libraries.blank, mild=True),
    Cause("soon", "", "the certificate expires soon", "{fab} tls",
            check_nginx.ends_soon, mild=True),
    Cause("low", "", "the disk is nearly full", "make room on the server",
            check_jupyter.low, mild=True),
    Cause("killed-lately", "kernels die by themselves", "a kernel ran out of memory",
            "shut down others, raise lab.memory_limit or add memory to the server",
            check_jupyter.killed_lately, mild=True),
)  # fmt: skip
