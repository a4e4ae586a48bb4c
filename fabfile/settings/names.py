"""The name of one JupyterLab on a server, and all names and paths that are made of it.

Several people may have one each on the same server: with `lab.name: anna` it is `jupyterlab-anna`.
Its files in the home have the same names for every user: each user has one JupyterLab.
"""

from dataclasses import dataclass

BESIDE = "/etc/nginx/jupyterlab*/at"  # folders through which our sites find each other
FIRST = "jupyterlab"  # the default of lab.name
# Reserved words: jupyterlab-backup is a unit of every instance, so nobody may be called backup.
TAKEN = "acme|backup|certificate|doctor|fab|login|scheduler|tls|worker"
NICKNAME = rf"(?!({FIRST}-)?({TAKEN})(-|\Z))(?!.*-({TAKEN}|)\Z)({FIRST}-)?[a-z][a-z0-9-]{{0,23}}"
PARTS = tuple(f"-{word}" for word in TAKEN.split("|"))  # the ends of its other names
SYSTEMD = "/etc/systemd/system"


@dataclass(frozen=True)
class Endpoint:
    """The place where a program listens on the server: a unix socket, or a port of 127.0.0.1."""

    socket: str = ""
    port: int = 0

    def __str__(self) -> str:
        return self.socket or str(self.port)

    @property
    def upstream(self) -> str:
        """The address of Nginx's `server` in an upstream."""
        return f"unix:{self.socket}" if self.socket else f"127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Instance:
    """A JupyterLab on a server. :param name: lab.name."""

    name: str = FIRST

    @property
    def called(self) -> str:
        """The name of its unit, site and folders."""
        whole = self.name == FIRST or self.name.startswith(f"{FIRST}-")
        return self.name if whole else f"{FIRST}-{self.name}"

    @property
    def variable(self) -> str:
        """The name without hyphens, for Nginx's variables."""
        return self.called.replace("-", "_")

    # --- the service ---

    @property
    def unit(self) -> str:
        """The service."""
        return f"{self.called}.service"

    @property
    def socket_unit(self) -> str:
        """The unit of the socket that wakes it."""
        return f"{self.called}.socket"

    @property
    def unit_file(self) -> str:
        return f"{SYSTEMD}/{self.unit}"

    @property
    def socket_file(self) -> str:
        return f"{SYSTEMD}/{self.socket_unit}"

    @property
    def tmpfiles(self) -> str:
        """The rule that makes the folder of its socket at boot, tmpfiles.d(5)."""
        return f"/etc/tmpfiles.d/{self.called}.conf"

    @property
    def run(self) -> str:
        """The folder of its socket."""
        return f"/run/{self.called}"

    @property
    def socket(self) -> str:
        """The socket that Nginx connects to."""
        return f"{self.run}/jupyter.sock"

    @property
    def own_socket(self) -> str:
        """The socket that Jupyter insists on making, where systemd holds the other; unused."""
        return f"{self.run}/server.sock"

    @property
    def runtime(self) -> str:
        """The folder for the sockets of kernels, where the usual path is too long."""
        return f"{self.run}/runtime"

    @property
    def pages(self) -> str:
        """The folder of its compressed static files, which Nginx serves."""
        return f"/var/cache/{self.called}"

    # --- its site ---

    @property
    def site(self) -> str:
        return f"/etc/nginx/sites-available/{self.called}"

    @property
    def enabled(self) -> str:
        """The link to the site, read last: Nginx's first site answers for unknown host names."""
        return f"/etc/nginx/sites-enabled/zz-{self.called}"

    @property
    def former(self) -> str:
        """The path of that link where somebody followed a how-to before."""
        return f"/etc/nginx/sites-enabled/{self.called}"

    @property
    def http(self) -> str:
        """The file with the log format, read before the sites that use it."""
        return f"/etc/nginx/conf.d/00-{self.called}.conf"

    @property
    def certificates(self) -> str:
        """The folder of its certificates, and of its locations in an existing site."""
        return f"/etc/nginx/{self.called}"

    @property
    def locations(self) -> str:
        """The file that an existing site includes."""
        return f"{self.certificates}/locations.conf"

    @property
    def line(self) -> str:
        """The line that includes it: a pattern, because Nginx accepts one that fits no file."""
        return f"include {self.certificates}/*.conf;"

    @property
    def beside(self) -> str:
        """The folder from which our site includes the locations below its host name."""
        return f"{self.certificates}/at"

    @property
    def log(self) -> str:
        return f"/var/log/nginx/{self.called}.access.log"

    @property
    def webroot(self) -> str:
        """The folder of the files that an ACME server asks for, RFC 8555."""
        return f"/var/lib/{self.called}-acme"

    @property
    def hook(self) -> str:
        """The program that gives a renewed certificate to Nginx."""
        return f"/usr/local/sbin/{self.called}-certificate"

    @property
    def jail(self) -> str:
        """The jail of fail2ban."""
        return f"/etc/fail2ban/jail.d/{self.called}.conf"

    @property
    def filter(self) -> str:
        return f"/etc/fail2ban/filter.d/{self.called}.conf"

    # --- its backups ---

    @property
    def backups(self) -> str:
        return f"/var/backups/{self.called}"

    @property
    def backup_program(self) -> str:
        return f"/usr/local/sbin/{self.called}-backup"

    @property
    def backup_unit(self) -> str:
        return f"{SYSTEMD}/{self.called}-backup.service"

    @property
    def backup_timer(self) -> str:
        return f"{SYSTEMD}/{self.called}-backup.timer"

    # --- its cluster ---

    @property
    def scheduler(self) -> str:
        """The unit of the cluster's scheduler."""
        return f"{self.called}-scheduler.service"

    @property
    def worker(self) -> str:
        """The unit of a worker, on each other host."""
        return f"{self.called}-worker.service"

    @property
    def scheduler_socket(self) -> str:
        """The unit of the socket of the scheduler's dashboard."""
        return f"{self.called}-scheduler.socket"

    @property
    def scheduler_folder(self) -> str:
        """The folder of what the scheduler reads and only root writes: certificates, preloads."""
        return f"/etc/{self.called}-scheduler"

    @property
    def scheduler_venv(self) -> str:
        """The scheduler's copy of the venv, owned by root: the scheduler cannot see the home."""
        return f"/var/cache/{self.called}-scheduler"

    @property
    def dashboard(self) -> str:
        """The socket of the scheduler's dashboard, for JupyterLab's user alone."""
        return f"/run/{self.called}-scheduler/dashboard.sock"

    @property
    def members(self) -> str:
        """The file with the hosts of the cluster, owned by root."""
        return f"/var/lib/{self.called}-fab/cluster"

    @property
    def seat(self) -> str:
        """The folder of a worker in its user's home: venv, certificate, spilled data."""
        return f"~/{self.called}-worker"
