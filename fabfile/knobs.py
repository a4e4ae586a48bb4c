"""Every setting: its name, its default, and what it accepts."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .credentials import Secret

LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
NAME = rf"(?=.{{1,253}}\Z)({LABEL}\.)*{LABEL}"


def text(pattern: str, meaning: str):
    """Declare a string setting: the pattern it must match, and what it means in words."""
    return Annotated[str, Meta(pattern=rf"\A(?:{pattern})\Z", description=meaning)]


def number(low: int, high: int, meaning: str):
    """Declare a whole-number setting within [low, high]."""
    return Annotated[int, Meta(ge=low, le=high, description=f"{meaning}; {low} to {high}")]


# no less than a server with one kernel needs
MEMORY = r"infinity|([1-9]\d|100)%|(25[6-9]|2[6-9]\d|[3-9]\d\d|[1-9]\d{3,})M|[1-9]\d*[GT]"
Path = r"(?!.*/\.\.?(/|\Z))~?(/[\w.+@-]+)+"
KERNEL = r"(?!python3\Z)[a-z][a-z0-9_-]{0,63}"  # python3 is the one of the venv beside JupyterLab
Origin = rf"https://(\*\.)?({LABEL}\.)*{LABEL}(:\d{{1,5}})?"

Package = text(r"[A-Za-z0-9][^\s#].*|[A-Za-z0-9]", "a pip requirement")


class Kernel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of `lab.kernels`: with a venv that is made for it, or one that is there."""

    packages: Annotated[
        tuple[Package, ...], Meta(description="a list of pip requirements for the kernel's venv")
    ] = ()
    python: text(Path, "the Python to make its venv from, as /usr/bin/python3.11") = "python3"
    venv: text(Path, "a venv of your own that has ipykernel, ~/NAME or an absolute path") = ""
    title: text(r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,59}", "what the launcher calls it") = ""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every knob under `lab:`, with its default; the descriptions are what a bad value is told."""

    domain: text(NAME, "the host name people type, such as lab.example.org") = (
        "jupyterlab.vmdomain.io"
    )
    user: text(r"|[a-z_][a-z0-9_.-]*", "whose JupyterLab it is, when that is not the one of -H") = (
        ""
    )
    project: text(
        Path, "the folder of the notebooks, ~/NAME or an absolute path without spaces"
    ) = "~/project"
    packages: Annotated[
        tuple[Package, ...],
        Meta(min_length=1, description="a list of pip requirements for the venv, at least one"),
    ] = ("jupyter",)
    requirements: text(r".*", "a file of pip requirements on this machine, added to packages") = ""
    lock: text(r".*", "a file of exact versions on this machine, as `fab upgrade --lock` makes") = (
        ""
    )
    kernels: Annotated[
        dict[text(KERNEL, "a kernel's name"), Kernel],
        Meta(description="a group of kernels by name, as `data: {packages: [pandas]}`"),
    ] = {}
    installer: Annotated[
        Literal["uv", "pip"], Meta(description="uv (fast) or pip (plain); uv falls back to pip")
    ] = "uv"
    system_packages: Annotated[
        tuple[text(r"[a-z0-9][a-z0-9+.-]+", "a Debian package name"), ...],
        Meta(description="a list of further Debian packages, such as git or build-essential"),
    ] = ()
    recommends: Annotated[
        bool, Meta(description="true or false: install what the Debian packages recommend, too")
    ] = False
    port: number(1024, 65535, "a loopback port for JupyterLab, or null: a unix socket") | None = (
        None
    )
    http_port: number(1, 65535, "the port on which Nginx serves the site") = 80
    https_port: number(1, 65535, "the port on which Nginx serves it by HTTPS, if tls says so") = 443
    tls: Annotated[
        Literal["off", "self-signed", "letsencrypt", "files"],
        Meta(description="off, self-signed (a private CA of yours), letsencrypt, or files"),
    ] = "off"
    tls_certificate: text(r".+", "your own certificate with its chain, a file on this machine") = ""
    tls_key: text(r".+", "the key of that certificate, a file on this machine") = ""
    tls_email: text(r"|[^@\s]+@[^@\s]+", "where Let's Encrypt may write to, an e-mail address") = ""
    acme_server: text(r"https://\S+", "the directory of an ACME server, an https:// URL") = (
        "https://acme-v02.api.letsencrypt.org/directory"
    )
    ca_folder: text(r".+", "the folder of your private CA, a path") = "~/.config/jupyterlab-fab/ca"
    login_rate: number(1, 6000, "how many logins a minute one address may try") = 12
    fail2ban: Annotated[
        bool, Meta(description="true or false: ban an address that goes on guessing passwords")
    ] = False
    content_from: Annotated[
        tuple[text(Origin, "an origin, such as https://cdn.example.org"), ...],
        Meta(description="a list of origins that pages may load from, as https://cdn.example.org"),
    ] = ()
    upload_limit: text(r"[1-9]\d*[kmg]", "the largest request body, such as 64m or 2g") = "64m"
    read_timeout: number(60, 604800, "seconds that Nginx waits for a silent answer") = 86400
    start_timeout: number(5, 600, "seconds that JupyterLab may take until it answers") = 60
    sandbox: Annotated[
        Literal["standard", "strict"],
        Meta(description="standard (sudo works in its terminals) or strict (nobody becomes root)"),
    ] = "standard"
    memory_limit: text(
        MEMORY, "what JupyterLab may use of the memory: 10% to 100%, 256M or more, 4G, or infinity"
    ) = "80%"
    cpu_limit: (
        text(r"[1-9]\d{1,4}%", "percent of one processor, 200% being two, or null: all of them")
        | None
    ) = None
    tasks_limit: number(256, 4194304, "how many processes and threads JupyterLab may have") = 8192
    cull_after: number(60, 31536000, "seconds until an idle kernel ends, or null: never") | None = (
        None
    )
    cull_busy: Annotated[
        bool, Meta(description="true or false: end a kernel as long silent, though it computes")
    ] = False
    cull_connected: Annotated[
        bool, Meta(description="true or false: end an idle kernel whose notebook is open, too")
    ] = False
    sleep_after: (
        number(60, 31536000, "seconds without use until JupyterLab sleeps, or null: never") | None
    ) = None
    backup_schedule: text(
        r"|[A-Za-z0-9*][A-Za-z0-9*,./:~ -]*", "when to back up, such as daily; empty: never"
    ) = ""
    backup_keep: number(1, 10000, "how many backups of a host are kept") = 7
    backup_folder: text(
        r"(?!.*/\.\.?(/|\Z))(/[\w.+@-]+)+", "a folder of the server's root for them, a path"
    ) = "/var/backups/jupyterlab/archives"
    hosts_file: text(r".+", "the operator's own hosts file, a path") = "/etc/hosts"
    address: text(
        r"[0-9A-Fa-f.:]*", "the IP for the hosts line; empty: the one of the SSH peer"
    ) = ""
    host_key: text(
        r"ask|accept-new|strict|SHA256:[A-Za-z0-9+/]{43}",
        "ask, accept-new, strict, or the server's fingerprint, SHA256:...",
    ) = "ask"
    known_hosts: text(r".+", "the known_hosts file, a path") = "~/.ssh/known_hosts"
    connect_timeout: number(1, 600, "seconds until a silent server is given up") = 10
    boot_wait: number(0, 600, "seconds to try again while a server starts and has no sshd yet") = 5
    anew: str = ""  # a stamp: make the venv anew, unless that has been done under this stamp
    added: tuple[str, ...] | None = None  # what is to stand beside packages; None: what does
    password: Secret | None = None  # from LAB_PASSWORD or a prompt, never from a file

    @property
    def venv(self) -> str:
        """The virtual environment, inside the project as the how-to has it."""
        return f"{self.project}/venv"

    @property
    def venvs(self) -> str:
        """Where other ones are built, and where the one before is kept; unseen in JupyterLab."""
        return f"{self.project}/.venvs"

    def kernel_venv(self, name: str) -> str:
        """Where the venv of a further kernel is: made here, unless it is one of the user's own."""
        return self.kernels[name].venv or f"{self.project}/.kernels/{name}"

    @property
    def secure(self) -> bool:
        """Whether it is to be served by HTTPS."""
        return self.tls != "off"

    @property
    def scheme(self) -> str:
        """How a browser asks."""
        return "https" if self.secure else "http"

    @property
    def entrance(self) -> int:
        """The port at which a browser asks."""
        return self.https_port if self.secure else self.http_port

    def named(self, secure: bool) -> str:
        """The name as a browser sends it: with the port, unless it is the usual one."""
        port, usual = (self.https_port, 443) if secure else (self.http_port, 80)
        return self.domain if port == usual else f"{self.domain}:{port}"

    @property
    def host(self) -> str:
        """The same, as it is to be served."""
        return self.named(self.secure)

    @property
    def url(self) -> str:
        """Where people find it."""
        return f"{self.scheme}://{self.host}"
