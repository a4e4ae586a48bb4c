"""Every setting: its name, its default, its purpose and what it accepts.

`invoke docs` makes fabric.yaml and docs/settings.md of these descriptions (fields.py).
"""

import re
from typing import Annotated

import msgspec

from .credentials import Secret
from .fields import HERE, LABEL, PATH, Package, address, choice, flag, number, said, several, text
from .kernel import EXAMPLES, KERNEL, Kernel
from .names import NICKNAME, Endpoint, Instance

IPV6 = r"\[[0-9A-Fa-f:.]*\]|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*"
NAME = rf"(?=.{{1,253}}\Z)({LABEL}\.)*{LABEL}|{IPV6}"  # IPv4 looks like a name
ORIGIN = rf"https://(\*\.)?({LABEL}\.)*{LABEL}(:\d{{1,5}})?"
# at least what a server with one kernel needs
MEMORY = r"infinity|([1-9]\d|100)%|(25[6-9]|2[6-9]\d|[3-9]\d\d|[1-9]\d{3,})M|[1-9]\d*[GT]"
FOLDER = r"(/[A-Za-z0-9_][A-Za-z0-9_.~-]*)*"  # the path prefix of a URL
PROVIDERS = (  # Debian has certbot's plugins for their APIs; rfc2136 is a name server of your own
    "rfc2136", "cloudflare", "digitalocean", "dnsimple", "gandi", "gehirn", "google", "linode",
    "ovh", "route53", "sakuracloud",
)  # fmt: skip
ROLES = "google", "route53"  # there a server may have a role of its own, without credentials
DOMAIN = "jupyterlab.vmdomain.io"  # that of the how-to; only your own hosts file knows it
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
YEAR = 31536000  # seconds
HASHED = 46  # characters of a name that fit into Nginx's table by default (64 bytes a bucket)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings under `lab:`, with their defaults."""

    domain: text(
        NAME,
        "the host name or the address that people type",
        "a host name such as lab.example.org, or an IP address",
    ) = DOMAIN
    base_path: text(
        FOLDER,
        "the path prefix of the URL; else JupyterLab is at the root",
        "a path such as /jupyter, or nothing",
        "/jupyter",
    ) = ""
    site: choice("own", "include", purpose="a site of its own, or part of another one") = "own"
    name: text(
        NICKNAME,
        "the name of this JupyterLab, where a server has several",
        "up to 24 lower-case letters, digits and -, a letter first; no reserved word like backup",
        "anna",
    ) = "jupyterlab"
    user: text(
        r"|[A-Za-z_][A-Za-z0-9_.-]*\$?",
        "the owner of JupyterLab, when you log in as root",
        "a user of the server",
        "david",
    ) = ""
    project: text(
        PATH,
        "the folder of the notebooks; the venv is in it",
        "~/NAME or an absolute path without spaces",
    ) = "~/project"
    packages: several(
        Package,
        "packages of the venv; vulnerable versions are not installed",
        "a list of pip requirements, at least one",
        ["jupyter", "numpy"],
        min_length=1,
    ) = ("jupyter",)
    requirements: text(
        r".*", "a pip requirements file with more packages", HERE, "requirements.txt"
    ) = ""
    lock: text(
        r".*", "a file of exact versions, made by `fab upgrade --lock`", HERE, "jupyterlab.lock"
    ) = ""
    kernels: Annotated[
        dict[text(KERNEL), Kernel],
        said(
            "further kernels, each with its own packages or Python",
            "a group of kernels by name, such as `data: {packages: [pandas]}`",
            EXAMPLES,
        ),
    ] = {}
    installer: choice("uv", "pip", purpose="the installer; uv is faster, pip simpler") = "uv"
    proxy: text(
        r"http://[A-Za-z0-9:@._~%\[\]-]+/?",
        "the HTTP proxy by which the server reaches the network",
        "a URL such as http://192.0.2.9:3128; else what /etc/environment there says",
        "http://192.0.2.9:3128",
    ) = ""
    system_packages: several(
        text(r"[a-z0-9][a-z0-9+.-]+"),
        "further Debian packages",
        "a list of Debian packages, such as git or build-essential",
        ["git"],
    ) = ()
    recommends: flag("also install recommended Debian packages, e.g. a compiler") = False
    port: (
        number(
            1024, 65535, "the loopback port of JupyterLab; a unix socket is safer", 8888,
            none="a unix socket",
        ) | None
    ) = None  # fmt: skip
    http_port: number(1, 65535, "the port of Nginx for HTTP") = 80
    https_port: number(1, 65535, "the port of Nginx for HTTPS, when tls is not off") = 443
    tls: choice(
        "off", "auto", "self-signed", "letsencrypt", "files", "theirs",
        purpose="HTTPS",
    ) = "off"  # fmt: skip
    tls_certificate: text(
        r".+", "with tls: files, your certificate with its chain", HERE, "fullchain.pem"
    ) = ""
    tls_key: text(r".+", "with tls: files, the key of your certificate", HERE, "privkey.pem") = ""
    tls_dns: text(
        "|" + "|".join(PROVIDERS),
        "with letsencrypt, prove the name by this DNS, not by port 80",
        f"{', '.join(PROVIDERS[:-1])} or {PROVIDERS[-1]}",
        "cloudflare",
    ) = ""
    tls_dns_credentials: text(
        r".+",
        "with tls_dns, the key of its API, as certbot wants it",
        HERE,
        "dns.ini",
    ) = ""
    tls_email: text(
        r"|[^@\s]+@[^@\s]+",
        "your address for Let's Encrypt, optional",
        "an e-mail address",
        "you@example.org",
    ) = ""
    acme_server: text(
        r"https://\S+",
        "the ACME server, if not Let's Encrypt",
        "the directory of an ACME server, an https:// URL",
        "https://ca.example.org/acme/directory",
    ) = LETS_ENCRYPT
    ca_folder: text(r".+", "your private CA, made by the first self-signed run", HERE) = (
        "~/.config/jupyterlab-fab/ca"
    )
    ca_names: several(
        text(rf"(?=.{{1,253}}\Z)({LABEL}\.)+{LABEL}|{IPV6}"),
        "what the CA signs for, with all names below; else domain",
        "a list of IP addresses, and domains with a dot, but no public suffix such as co.uk",
        ["lab.example.org"],
    ) = ()
    login_rate: number(1, 6000, "login attempts a minute from one address") = 12
    connection_limit: number(
        16, 65535, "requests and websockets at the same time from one address"
    ) = 256  # a tab of JupyterLab has about ten
    fail2ban: flag("ban addresses that keep guessing passwords") = False
    content_from: several(
        text(ORIGIN),
        "other origins that pages may load from",
        "a list of origins, such as https://cdn.example.org",
        ["https://cdn.example.org"],
    ) = ()
    upload_limit: text(r"[1-9]\d*[kmg]", "the largest request body", "a size such as 64m or 2g") = (
        "64m"
    )
    read_timeout: number(60, 604800, "seconds that Nginx waits for a silent upstream") = 86400
    start_timeout: number(5, 600, "seconds that a start may take, or three times the last") = 60
    sandbox: choice("standard", "strict", purpose="strict allows no sudo, and only the home") = (
        "standard"
    )
    memory_limit: text(
        MEMORY,
        "the memory limit of JupyterLab with its kernels",
        "10% to 100%, 256M or more, such as 4G, or infinity",
    ) = "80%"
    cpu_limit: (
        text(
            r"[1-9]\d{1,4}%",
            "the CPU limit of JupyterLab with its kernels",
            "percent of one processor, 200% being two, or null: all of them",
            "200%",
        ) | None
    ) = None  # fmt: skip
    tasks_limit: number(256, 4194304, "the limit of processes and threads, kernels included") = 8192
    cull_after: (
        number(
            60, YEAR, "seconds until an idle kernel ends and loses its variables", 86400,
            none="never",
        ) | None
    ) = None  # fmt: skip
    cull_busy: flag("also end a busy kernel that is silent for that long") = False
    cull_connected: flag("end an idle kernel even if its notebook is open") = False
    sleep_after: (
        number(60, YEAR, "seconds without use until JupyterLab sleeps", 3600, none="never") | None
    ) = None
    backup_schedule: text(
        r"|[A-Za-z0-9*][A-Za-z0-9*,./:~ -]*",
        "when the server makes backups by itself; else never",
        "a calendar event of systemd.time(7), such as daily or Mon *-*-* 03:00",
        "daily",
    ) = ""
    backup_keep: number(1, 10000, "backups of a host to keep, on the server and locally") = 7
    backup_folder: text(
        r"|(?!.*/\.\.?(/|\Z))(/[\w.+@-]+)+",
        "the folder of backups on the server; else in /var/backups",
        "an absolute path on the server, writable by root alone",
        "/srv/backups",
    ) = ""
    workers: several(
        text(r"[^\s,-][^\s,]*"),
        "the worker hosts of its cluster",
        "a list of hosts, as -H takes them",
        ["david@w1", "david@w2"],
    ) = ()
    cluster_address: text(
        r"[0-9A-Fa-f.:]*",
        "the server's address for the workers, if not the usual one",
        "an IP address of the server",
        "10.0.0.1",
    ) = ""
    worker_memory: number(1, 95, "percent of its host's memory that each worker may use") = 80
    worker_cpu: number(1, 100, "percent of its host's processors that each worker may use") = 100
    hosts_file: text(r".+", "the hosts file of your own machine", HERE) = "/etc/hosts"
    address: text(
        r"[0-9A-Fa-f.:]*",
        "the address in the hosts file, if not the SSH server's",
        "an IP address",
        "203.0.113.7",
    ) = ""
    host_key: text(
        r"ask|accept-new|strict|SHA256:[A-Za-z0-9+/]{43}",
        "what to do with an unknown host key",
        "ask, accept-new, strict, or the server's fingerprint, SHA256:...",
    ) = "ask"
    known_hosts: text(r".+", "the file of known host keys", HERE) = "~/.ssh/known_hosts"
    connect_timeout: number(1, 600, "seconds to wait for an answer when connecting") = 10
    boot_wait: number(0, 600, "seconds to retry while a server boots") = 5
    password: Secret | None = None  # from LAB_PASSWORD or a prompt, never from a file
    auto: str | None = None  # where tls was `auto`: why it is what it is; "" if decided earlier

    @property
    def instance(self) -> Instance:
        """The names and paths of this JupyterLab on the server."""
        return Instance(self.name)

    @property
    def endpoint(self) -> Endpoint:
        """The place where JupyterLab listens."""
        return Endpoint(port=self.port) if self.port else Endpoint(self.instance.socket)

    @property
    def archives(self) -> str:
        """The folder of the backups on the server."""
        return self.backup_folder or f"{self.instance.backups}/archives"

    @property
    def venv(self) -> str:
        """The virtual environment, inside the project folder."""
        return f"{self.project}/venv"

    @property
    def venvs(self) -> str:
        """The folder of new venvs and of the previous one; hidden in JupyterLab."""
        return f"{self.project}/.venvs"

    def kernel_venv(self, name: str) -> str:
        """Return the path of a further kernel's venv: the user's, or one that is made for it."""
        return self.kernels[name].venv or f"{self.project}/.kernels/{name}"

    @property
    def secure(self) -> bool:
        """True when the site is served by HTTPS."""
        return self.tls != "off"

    @property
    def certified(self) -> bool:
        """True when this project provides the certificate, and no existing site does."""
        return self.tls not in ("off", "theirs")

    @property
    def renewal_timer(self) -> str:
        """The timer that renews the certificate of an ACME server."""
        return self.instance.certbot_timer if self.numeric else "certbot.timer"

    @property
    def scheme(self) -> str:
        """The scheme of the URL."""
        return "https" if self.secure else "http"

    @property
    def entrance(self) -> int:
        """The port of the URL."""
        return self.https_port if self.secure else self.http_port

    @property
    def numeric(self) -> bool:
        """True when the domain is an IP address."""
        return bool(address(self.domain))

    @property
    def url_name(self) -> str:
        """The domain in a URL: an IPv6 address is in brackets (RFC 3986)."""
        return f"[{self.domain}]" if ":" in self.domain else self.domain

    @property
    def sni(self) -> str:
        """The name that a client tells in its TLS handshake: none for an address (RFC 6066)."""
        return "" if self.numeric else self.domain

    @property
    def hsts(self) -> bool:
        """True when browsers are told to use HTTPS only: no address can say so (RFC 6797)."""
        return self.certified and not self.numeric

    def named(self, secure: bool) -> str:
        """Return the host as a browser sends it: with the port, unless that is the default."""
        port, usual = (self.https_port, 443) if secure else (self.http_port, 80)
        return self.url_name if port == usual else f"{self.url_name}:{port}"

    @property
    def stem(self) -> str:
        """The domain as the beginning of file names, which have at most 255 characters."""
        return self.domain.lower().replace(":", "-")[:200]

    @property
    def server_name(self) -> str:
        """The domain for Nginx; a pattern if it is too long for the table of names."""
        long = len(self.domain) > HASHED
        return f"~^{re.escape(self.domain.lower())}$" if long else self.url_name

    @property
    def host(self) -> str:
        """The host as a browser sends it."""
        return self.named(self.secure)

    @property
    def origin(self) -> str:
        """The origin of the site, RFC 6454."""
        return f"{self.scheme}://{self.host}"

    @property
    def url(self) -> str:
        """The URL of JupyterLab."""
        return f"{self.origin}{self.base_path}"
