"""What one JupyterLab on a server is called, and where all that is named after it stands.

Several people may have one each on the same server: with `lab.name: anna` one is `jupyterlab-anna`
there. Whoever's it is, its files in the home have the usual names: a user has one.
"""

from dataclasses import dataclass

BESIDE = "/etc/nginx/jupyterlab*/at"  # the folders where sites of ours look for one another
FIRST = "jupyterlab"  # what the only one is called
# Words that are parts of other names of ours: the unit jupyterlab-backup is not somebody's.
TAKEN = "acme|backup|certificate|doctor|fab|login|scheduler|tls|worker"
NICKNAME = rf"(?!({FIRST}-)?({TAKEN})(-|\Z))(?!.*-({TAKEN}|)\Z)({FIRST}-)?[a-z][a-z0-9-]{{0,23}}"
PARTS = tuple(f"-{word}" for word in TAKEN.split("|"))  # how the names of its other units end
SYSTEMD = "/etc/systemd/system"


@dataclass(frozen=True)
class Instance:
    """One of them. :param name: as lab.name has it."""

    name: str = FIRST

    @property
    def called(self) -> str:
        """The name of its unit, its site, its folders."""
        whole = self.name == FIRST or self.name.startswith(f"{FIRST}-")
        return self.name if whole else f"{FIRST}-{self.name}"

    @property
    def variable(self) -> str:
        """The same, where no hyphen may be: in the names of Nginx's variables."""
        return self.called.replace("-", "_")

    # --- the service ---

    @property
    def unit(self) -> str:
        """The service."""
        return f"{self.called}.service"

    @property
    def door(self) -> str:
        """The unit of the socket that wakes it."""
        return f"{self.called}.socket"

    @property
    def unit_file(self) -> str:
        return f"{SYSTEMD}/{self.unit}"

    @property
    def door_file(self) -> str:
        return f"{SYSTEMD}/{self.door}"

    @property
    def tmpfiles(self) -> str:
        """The rule that makes the folder of its socket at boot."""
        return f"/etc/tmpfiles.d/{self.called}.conf"

    @property
    def run(self) -> str:
        """The folder of its socket."""
        return f"/run/{self.called}"

    @property
    def socket(self) -> str:
        """The one that Nginx knows."""
        return f"{self.run}/jupyter.sock"

    @property
    def own_socket(self) -> str:
        """Where systemd holds that one: nobody's, but Jupyter wants one."""
        return f"{self.run}/server.sock"

    @property
    def runtime(self) -> str:
        """The folder for the sockets of kernels, where the usual one has too long a name."""
        return f"{self.run}/runtime"

    @property
    def pages(self) -> str:
        """What its pages are made of, compressed, for Nginx."""
        return f"/var/cache/{self.called}"

    # --- its site ---

    @property
    def site(self) -> str:
        return f"/etc/nginx/sites-available/{self.called}"

    @property
    def enabled(self) -> str:
        """Nginx takes the first site for names that nobody has: the last one takes none away."""
        return f"/etc/nginx/sites-enabled/zz-{self.called}"

    @property
    def former(self) -> str:
        """Where the link was before."""
        return f"/etc/nginx/sites-enabled/{self.called}"

    @property
    def http(self) -> str:
        """Read before the sites, which name its log format."""
        return f"/etc/nginx/conf.d/00-{self.called}.conf"

    @property
    def certificates(self) -> str:
        """The folder of its certificates, and of its locations in somebody else's site."""
        return f"/etc/nginx/{self.called}"

    @property
    def locations(self) -> str:
        """What somebody else's site brings in."""
        return f"{self.certificates}/locations.conf"

    @property
    def line(self) -> str:
        """The line by which it does; where nothing fits the pattern, Nginx brings in nothing."""
        return f"include {self.certificates}/*.conf;"

    @property
    def beside(self) -> str:
        """Where a site of ours looks, under its name, for what is in a folder of its URL."""
        return f"{self.certificates}/at"

    @property
    def log(self) -> str:
        return f"/var/log/nginx/{self.called}.access.log"

    @property
    def webroot(self) -> str:
        """Where a file proves to an ACME server who we are."""
        return f"/var/lib/{self.called}-acme"

    @property
    def hook(self) -> str:
        """What gives a new certificate of an ACME server to Nginx."""
        return f"/usr/local/sbin/{self.called}-certificate"

    @property
    def jail(self) -> str:
        """Fail2ban's."""
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
        """The unit that hands out what is to be computed."""
        return f"{self.called}-scheduler.service"

    @property
    def worker(self) -> str:
        """The unit that computes, on each other host."""
        return f"{self.called}-worker.service"

    @property
    def scheduler_socket(self) -> str:
        """The unit of the socket at which that shows itself."""
        return f"{self.called}-scheduler.socket"

    @property
    def scheduler_folder(self) -> str:
        """What the scheduler reads and root alone writes: certificates, what Dask loads first."""
        return f"/etc/{self.called}-scheduler"

    @property
    def scheduler_venv(self) -> str:
        """Root's folder with a copy of the venv, for the scheduler, who cannot see the home."""
        return f"/var/cache/{self.called}-scheduler"

    @property
    def dashboard(self) -> str:
        """Where the scheduler shows what goes on: a socket for JupyterLab's user alone."""
        return f"/run/{self.called}-scheduler/dashboard.sock"

    @property
    def members(self) -> str:
        """Which hosts those are: root's file."""
        return f"/var/lib/{self.called}-fab/cluster"

    @property
    def seat(self) -> str:
        """The folder of a worker in its user's home: venv, certificate, what it puts aside."""
        return f"~/{self.called}-worker"
