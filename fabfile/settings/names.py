"""The name of one JupyterLab on a server, and all names and paths that are made of it.

Several people may have one each on the same server: with `lab.name: anna` it is `jupyterlab-anna`.
Its files in the home have the same names for every user: each user has one JupyterLab.
"""

from dataclasses import dataclass

BESIDE = "/etc/nginx/jupyterlab*/at"  # folders through which our sites find each other
FIRST = "jupyterlab"  # the default of lab.name
# Reserved words: jupyterlab-backup is a unit of every instance, so nobody may be called backup.
TAKEN = "acme|backup|certbot|certificate|doctor|fab|login|scheduler|tls|worker"
NICKNAME = rf"(?!({FIRST}-)?({TAKEN})(-|\Z))(?!.*-({TAKEN}|)\Z)({FIRST}-)?[a-z][a-z0-9-]{{0,23}}"
PARTS = tuple(f"-{word}" for word in TAKEN.split("|"))  # the ends of its other names


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


class Name:
    """A name or path that an instance has: a template, with {} for what the instance is called."""

    def __init__(self, template: str):
        self.template = template

    def __get__(self, instance, owner) -> str:
        return self.template.format(instance.called)


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

    # the service
    unit = Name("{}.service")
    unit_file = Name("/etc/systemd/system/{}.service")
    socket_unit = Name("{}.socket")  # its socket wakes it
    socket_file = Name("/etc/systemd/system/{}.socket")
    tmpfiles = Name("/etc/tmpfiles.d/{}.conf")  # makes the next folder at boot, tmpfiles.d(5)
    run = Name("/run/{}")
    socket = Name("/run/{}/jupyter.sock")  # Nginx connects to it
    own_socket = Name("/run/{}/server.sock")  # Jupyter insists on it where systemd holds the other
    runtime = Name("/run/{}/runtime")  # the sockets of kernels, where the usual path is too long
    pages = Name("/var/cache/{}")  # its compressed static files, which Nginx serves

    # its site
    site = Name("/etc/nginx/sites-available/{}")
    enabled = Name("/etc/nginx/sites-enabled/zz-{}")  # Nginx's first site answers unknown names
    former = Name("/etc/nginx/sites-enabled/{}")  # the same link, where a how-to was followed
    http = Name("/etc/nginx/conf.d/00-{}.conf")  # the log format, read before sites that use it
    certificates = Name("/etc/nginx/{}")  # and the locations in a site of somebody else
    ca_page = Name("/etc/nginx/{}/ca")  # the private CA's certificate, and the page at /ca
    dns_key = Name("/etc/nginx/{}/dns.key")  # root's, for the API of a DNS provider; in backups
    locations = Name("/etc/nginx/{}/locations.conf")  # that site includes this file
    line = Name("include /etc/nginx/{}/*.conf;")  # by this line: a pattern may fit no file
    beside = Name("/etc/nginx/{}/at")  # our site includes the locations of others from here
    log = Name("/var/log/nginx/{}.access.log")
    webroot = Name("/var/lib/{}-acme")  # the files that an ACME server asks for, RFC 8555
    hook = Name("/usr/local/sbin/{}-certificate")  # hands a renewed certificate to Nginx
    certbot = Name("/opt/{}-certbot")  # root's own, for an address: Debian's knows names alone
    certbot_folder = Name("/etc/{}-certbot")  # its certificates
    certbot_timer = Name("{}-certbot.timer")
    jail = Name("/etc/fail2ban/jail.d/{}.conf")
    filter = Name("/etc/fail2ban/filter.d/{}.conf")

    # its backups
    backups = Name("/var/backups/{}")
    backup_program = Name("/usr/local/sbin/{}-backup")
    backup_unit = Name("/etc/systemd/system/{}-backup.service")
    backup_timer = Name("/etc/systemd/system/{}-backup.timer")

    # its cluster
    members = Name("/var/lib/{}-fab/cluster")  # lists the hosts, owned by root
    scheduler = Name("{}-scheduler.service")
    scheduler_folder = Name("/etc/{}-scheduler")  # only root writes there
    scheduler_venv = Name("/var/cache/{}-scheduler")  # root's copy: the scheduler sees no home
    scheduler_socket = Name("{}-scheduler.socket")  # of the scheduler's dashboard
    dashboard = Name("/run/{}-scheduler/dashboard.sock")  # for JupyterLab's user alone
    worker = Name("{}-worker.service")  # on each other host
    seat = Name("~/{}-worker")  # in its user's home there: venv, certificate, spilled data
