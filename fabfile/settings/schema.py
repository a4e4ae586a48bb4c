"""Every setting: its name, its default, what it is for and what it accepts.

Beside a setting stands all that is ever said of it (kinds.py): `invoke docs` makes fabric.yaml and
docs/settings.md of that.
"""

from typing import Annotated

import msgspec

from .credentials import Secret
from .fields import HERE, LABEL, PATH, Package, choice, flag, number, said, several, text
from .kernel import EXAMPLES, KERNEL, Kernel
from .names import NICKNAME, Instance

NAME = rf"(?=.{{1,253}}\Z)({LABEL}\.)*{LABEL}"
ORIGIN = rf"https://(\*\.)?({LABEL}\.)*{LABEL}(:\d{{1,5}})?"
# no less than a server with one kernel needs
MEMORY = r"infinity|([1-9]\d|100)%|(25[6-9]|2[6-9]\d|[3-9]\d\d|[1-9]\d{3,})M|[1-9]\d*[GT]"
FOLDER = r"(/[A-Za-z0-9_][A-Za-z0-9_.~-]*)*"  # of a URL
YEAR = 31536000  # seconds


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every knob under `lab:`, with its default."""

    domain: text(NAME, "the name that people type", "a host name such as lab.example.org") = (
        "jupyterlab.vmdomain.io"
    )
    base_path: text(
        FOLDER,
        "the folder of the URL under which it is; else at its root",
        "a path such as /jupyter, or nothing",
        "/jupyter",
    ) = ""
    site: choice("own", "include", purpose="a site of its own, or in one that is there") = "own"
    name: text(
        NICKNAME,
        "what it is called, where several people have one",
        "up to 24 small letters, digits and -, a letter first; not a word of ours, such as backup",
        "anna",
    ) = "jupyterlab"
    user: text(
        r"|[a-z_][a-z0-9_.-]*",
        "whose JupyterLab it is, when you log in as root",
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
        "what goes into the venv; versions with a known hole never do",
        "a list of pip requirements, at least one",
        ["jupyter", "numpy"],
        min_length=1,
    ) = ("jupyter",)
    requirements: text(
        r".*", "a file with more of them, beside packages", HERE, "requirements.txt"
    ) = ""
    lock: text(
        r".*", "exact versions, as `fab upgrade --lock` writes them", HERE, "jupyterlab.lock"
    ) = ""
    kernels: Annotated[
        dict[text(KERNEL), Kernel],
        said(
            "further kernels, each with packages or a Python of its own",
            "a group of kernels by name, as `data: {packages: [pandas]}`",
            EXAMPLES,
        ),
    ] = {}
    installer: choice("uv", "pip", purpose="what installs; uv is faster, pip plainer") = "uv"
    system_packages: several(
        text(r"[a-z0-9][a-z0-9+.-]+"),
        "further Debian packages",
        "a list of names of Debian packages, such as git or build-essential",
        ["git"],
    ) = ()
    recommends: flag("also what Debian's packages recommend, a compiler among it") = False
    port: (
        number(
            1024, 65535, "a loopback port for JupyterLab; a unix socket is safer", 8888,
            none="a unix socket",
        ) | None
    ) = None  # fmt: skip
    http_port: number(1, 65535, "where Nginx listens") = 80
    https_port: number(1, 65535, "and where by HTTPS, when tls is not off") = 443
    tls: choice(
        "off", "self-signed", "letsencrypt", "files", "theirs",
        purpose="HTTPS",
    ) = "off"  # fmt: skip
    tls_certificate: text(
        r".+", "with tls: files, your certificate and its chain", HERE, "fullchain.pem"
    ) = ""
    tls_key: text(r".+", "with tls: files, its key", HERE, "privkey.pem") = ""
    tls_email: text(
        r"|[^@\s]+@[^@\s]+",
        "where Let's Encrypt may write to, if you like",
        "an e-mail address",
        "you@example.org",
    ) = ""
    acme_server: text(
        r"https://\S+",
        "another one than Let's Encrypt's",
        "the directory of an ACME server, an https:// URL",
        "https://ca.example.org/acme/directory",
    ) = "https://acme-v02.api.letsencrypt.org/directory"
    ca_folder: text(r".+", "your private CA, made by the first self-signed run", HERE) = (
        "~/.config/jupyterlab-fab/ca"
    )
    ca_names: several(
        text(rf"(?=.{{1,253}}\Z)({LABEL}\.)+{LABEL}"),
        "the names that it signs for, with all below; else domain",
        "a list of names with a dot, none that strangers have names below, such as co.uk",
        ["lab.example.org"],
    ) = ()
    login_rate: number(1, 6000, "logins a minute that one address may try") = 12
    connection_limit: number(
        16, 65535, "requests and websockets at once that one address may have"
    ) = 256  # a tab of JupyterLab has about ten
    fail2ban: flag("ban an address that goes on guessing passwords") = False
    content_from: several(
        text(ORIGIN),
        "what pages may load from elsewhere",
        "a list of origins, such as https://cdn.example.org",
        ["https://cdn.example.org"],
    ) = ()
    upload_limit: text(r"[1-9]\d*[kmg]", "the largest request body", "a size such as 64m or 2g") = (
        "64m"
    )
    read_timeout: number(60, 604800, "seconds that Nginx waits for a silent answer") = 86400
    start_timeout: number(5, 600, "seconds that JupyterLab may take until it answers") = 60
    sandbox: choice("standard", "strict", purpose="strict has no sudo, and only the home") = (
        "standard"
    )
    memory_limit: text(
        MEMORY,
        "what JupyterLab and its kernels may use of the memory",
        "10% to 100%, 256M or more, such as 4G, or infinity",
    ) = "80%"
    cpu_limit: (
        text(
            r"[1-9]\d{1,4}%",
            "what they may use of the processors",
            "percent of one processor, 200% being two, or null: all of them",
            "200%",
        ) | None
    ) = None  # fmt: skip
    tasks_limit: number(256, 4194304, "how many processes and threads they may have") = 8192
    cull_after: (
        number(
            60, YEAR, "seconds until an idle kernel ends, and its variables with it", 86400,
            none="never",
        ) | None
    ) = None  # fmt: skip
    cull_busy: flag("end a kernel as long silent, though it computes") = False
    cull_connected: flag("end an idle kernel whose notebook is open, too") = False
    sleep_after: (
        number(60, YEAR, "seconds without use until JupyterLab sleeps", 3600, none="never") | None
    ) = None
    backup_schedule: text(
        r"|[A-Za-z0-9*][A-Za-z0-9*,./:~ -]*",
        "when the server backs up by itself; else never",
        "a time as systemd.time(7) has it, such as daily or Mon *-*-* 03:00",
        "daily",
    ) = ""
    backup_keep: number(1, 10000, "how many backups of a host are kept, here and there") = 7
    backup_folder: text(
        r"|(?!.*/\.\.?(/|\Z))(/[\w.+@-]+)+",
        "where those on the server are; else in /var/backups",
        "an absolute path there, for root",
        "/srv/backups",
    ) = ""
    workers: several(
        text(r"[^\s,-][^\s,]*"),
        "the hosts that compute for it, as its cluster",
        "a list of hosts, as -H takes them",
        ["david@w1", "david@w2"],
    ) = ()
    cluster_address: text(
        r"[0-9A-Fa-f.:]*",
        "where those reach it, if not the usual way",
        "an IP address of the server",
        "10.0.0.1",
    ) = ""
    worker_memory: number(1, 95, "percent of each worker's memory that it may use") = 80
    worker_cpu: number(1, 100, "percent of each worker's processors that it may use") = 100
    hosts_file: text(r".+", "your own hosts file", HERE) = "/etc/hosts"
    address: text(
        r"[0-9A-Fa-f.:]*",
        "what it says, when that is not the address of the SSH server",
        "an IP address",
        "203.0.113.7",
    ) = ""
    host_key: text(
        r"ask|accept-new|strict|SHA256:[A-Za-z0-9+/]{43}",
        "what to do with a server that is not known yet",
        "ask, accept-new, strict, or the server's fingerprint, SHA256:...",
    ) = "ask"
    known_hosts: text(r".+", "the servers that are known", HERE) = "~/.ssh/known_hosts"
    connect_timeout: number(1, 600, "seconds until a silent server is given up") = 10
    boot_wait: number(0, 600, "seconds to try again while a server starts") = 5
    anew: str = ""  # a stamp: make the venv anew, unless that has been done under this stamp
    added: tuple[str, ...] | None = None  # what is to stand beside packages; None: what does
    members: tuple[str, ...] | None = None  # `HOST NAME` of workers; None: as they are
    password: Secret | None = None  # from LAB_PASSWORD or a prompt, never from a file

    @property
    def instance(self) -> Instance:
        """What it is called on the server, and all that is named after that."""
        return Instance(self.name)

    @property
    def archives(self) -> str:
        """The folder of the backups on the server."""
        return self.backup_folder or f"{self.instance.backups}/archives"

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
    def certified(self) -> bool:
        """Whether the certificate is for us to bring, and not that of a site that is there."""
        return self.tls not in ("off", "theirs")

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
    def origin(self) -> str:
        """What a browser calls the site."""
        return f"{self.scheme}://{self.host}"

    @property
    def url(self) -> str:
        """Where people find it."""
        return f"{self.origin}{self.base_path}"
