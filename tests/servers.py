"""Real servers, and an operator who types `fab` at them over SSH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import testinfra
from acme import Authority
from named import DOMAIN, Named
from outcomes import well
from visitor import DOMAIN as DEFAULT

from fabfile import hosts
from testbed import demo, engine, image, shells
from testbed.host import Host, docker, keypair
from testbed.machine import ROOT

ANSWERS = """
timeout 60 sh -c 'until curl -fso /dev/null --unix-socket /run/jupyterlab/jupyter.sock \\
    http://localhost/api; do sleep 0.1; done'
"""
OWN_VENV = """
systemctl stop jupyterlab
cd /home/david/project
cp -a venv own
rm -r venv
mv own venv
systemctl start jupyterlab
"""
# An image knows whole seconds alone: without this, all that depends on a time would be stale there.
WHOLE_SECONDS = """
python3 - <<'END'
import os
for folder, _, names in os.walk("/home/david/project/venv"):
    for path in [folder, *(os.path.join(folder, name) for name in names)]:
        facts = os.lstat(path)
        os.utime(path, (facts.st_atime, int(facts.st_mtime)), follow_symlinks=False)
END
"""
ELSEWHERE = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


@pytest.fixture(scope="session")
def docker_compose_command() -> str:
    return " ".join(engine.compose())


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    return str(Path(__file__).parent / "integration" / "docker-compose.yml")


@pytest.fixture(scope="session")
def debian(request) -> str:
    """The codename of the Debian that the servers have."""
    return request.param


@pytest.fixture(scope="session")
def bare_image(debian) -> str:
    """The image of a bare server."""
    return image.ensure(debian)


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    return []  # each server comes up when the first test asks for it


@dataclass
class Started:
    """The servers of one module at a time: services of the compose file."""

    compose: object
    project: str
    bare: str
    hosts: dict[str, Host] = field(default_factory=dict)

    def up(self, *names: str, image: str | None = None) -> list[Host]:
        """Start servers, or find them running, and wait until they answer.

        :param image: what those are made from that do not run, bare unless given.
        """
        if missing := [name for name in names if name not in self.hosts]:
            os.environ["TESTBED_IMAGE"] = image or self.bare
            self.compose.execute(f"up -d --no-deps {' '.join(missing)}")
            self.hosts |= {name: Host(self.container(name)) for name in missing}
        found = [self.hosts[name] for name in names]
        for host in found:
            host.wait_ready()
        return found

    def container(self, name: str) -> str:
        """The id of a service's container; asked of the engine, for compose takes a second."""
        mine = {"project": self.project, "service": name}
        labels = [f"--filter=label=com.docker.compose.{key}={value}" for key, value in mine.items()]
        return docker("ps", "--quiet", "--no-trunc", *labels).stdout.strip()

    def remove(self, *names: str) -> None:
        """Remove servers and what they held."""
        if gone := [self.hosts.pop(name).container for name in names if name in self.hosts]:
            shells.close(*gone)
            docker("rm", "--force", "--volumes", *gone)


@pytest.fixture(scope="session")
def operator(tmp_path_factory) -> Operator:
    """The person at the keyboard: a home of their own with a key, known_hosts and a hosts file."""
    home = tmp_path_factory.mktemp("operator")
    key, public = keypair(home)
    known = Path("/etc/hosts").read_text().splitlines(keepends=True)
    (home / "known").write_text(
        "".join(line for line in known if demo.DOMAIN not in line and DEFAULT not in line)
    )
    someone = Operator(home, key, public)
    someone.start_over()
    return someone


@dataclass
class Operator:
    """Runs `fab` as a user does: as a command, from the project's folder."""

    home: Path
    key: Path
    public_key: str
    settings: dict[str, str] = field(default_factory=dict)
    program: Path = Path(sys.executable).parent / "fab"

    def environment(self, env: dict[str, str] | None = None) -> dict[str, str]:
        """What fab sees: none of this machine's own settings, but the operator's files."""
        foreign = "FABRIC_", "LAB_", "PYTHON"
        clean = {n: v for n, v in os.environ.items() if not n.startswith(foreign)}
        mine = {
            "HOME": str(self.home),
            "FABRIC_LAB_KNOWN_HOSTS": str(self.home / "known_hosts"),
            "FABRIC_LAB_HOSTS_FILE": str(self.home / "hosts"),
        }
        return {**clean, **mine, **self.settings, **(env or {})}

    def start_over(self) -> None:
        """Lose every file that `fab` reads or writes: as someone who has a key and nothing else."""
        for path in self.home.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path not in (self.key, self.home / "known"):
                path.unlink()
        (self.home / "hosts").write_text("127.0.0.1\tlocalhost\n")

    def know(self, host: Host) -> None:
        """Take the server's keys into known_hosts, in place of an earlier one's at its address."""
        path, address = self.home / "known_hosts", host.address
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        others = [line for line in lines if line.split()[0] != address]
        path.write_text("".join(others) + host.host_keys())

    def forget_others(self, host: Host) -> None:
        """Take the line of another server out of the hosts file: all have the default name here.

        :param host: whose line may stay.
        """
        path = self.home / "hosts"
        text = hosts.read(path)
        if hosts.led_to(text, DEFAULT) != host.address:
            text = hosts.with_line(text, DEFAULT, None)
            path.write_text(text, errors="surrogateescape")

    def start(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        folder: Path = ROOT,
        stdin: int = subprocess.PIPE,
        out: int = subprocess.PIPE,
        errors: int = subprocess.PIPE,
        hosts: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Start fab with these arguments, and leave it running.

        :param hosts: what it sees as /etc/hosts, in place of this machine's without the site of a
            demo; that takes root.
        """
        hosts = hosts or (self.home / "known" if os.geteuid() == 0 else None)
        elsewhere = ["unshare", "--mount", "sh", "-c", ELSEWHERE, "sh", hosts] if hosts else []
        return subprocess.Popen(
            [*elsewhere, self.program, *arguments],
            cwd=folder,
            env=self.environment(env),
            stdin=stdin,
            stdout=out,
            stderr=errors,
            text=True,
        )

    def fab(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        stdin: str | None = None,
        folder: Path = ROOT,
        hosts: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run fab with these arguments; never raises, the caller looks at the exit code."""
        with self.start(*arguments, env=env, folder=folder, hosts=hosts) as running:
            try:
                out, errors = running.communicate(stdin or "", timeout=600)
            except BaseException:
                running.kill()
                raise
        return subprocess.CompletedProcess(running.args, running.returncode, out, errors)


@dataclass
class Server:
    """A server of the testbed, the user who owns it, and the operator who deploys to it."""

    host: Host
    operator: Operator
    user: str

    @property
    def target(self) -> str:
        """What follows -H."""
        return f"{self.user}@{self.host.address}"

    @property
    def reach(self) -> list[str]:
        """The words that lead fab to this server."""
        return ["-H", self.target, "-i", str(self.operator.key)]

    def fab(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        """Run a task on this server, with the operator's key."""
        self.operator.forget_others(self.host)
        return self.operator.fab(*self.reach, *arguments, **options)

    def start(self, *arguments: str, **options) -> subprocess.Popen[str]:
        """Start a task on this server, and leave it running."""
        self.operator.forget_others(self.host)
        return self.operator.start(*self.reach, *arguments, **options)

    def own_venv(self) -> None:
        """Copy the venv: no folder of an image changes places with another (overlayfs)."""
        self.host.exec(OWN_VENV + ANSWERS)

    @property
    def infra(self):
        """The server for testinfra's assertions, as root."""
        return testinfra.get_host(f"docker://{self.host.container}")


@pytest.fixture(scope="session")
def started(docker_services, docker_compose_project_name, bare_image):
    """The containers of one Debian."""
    mine = Started(docker_services._docker_compose, docker_compose_project_name, bare_image)
    yield mine
    mine.remove(*mine.hosts)


@pytest.fixture(scope="session")
def settled_image(started, operator, snapshots, tmp_path_factory) -> str:
    """The image of a server on which `full` has run, for what comes after that."""

    def settle(name: str) -> None:
        (host,) = started.up("settled")
        first = Server(host, operator, "david")
        host.add_user("david", public_key=operator.public_key)
        operator.know(host)
        hosts = tmp_path_factory.mktemp("settled") / "hosts"
        hosts.touch()
        env = {"FABRIC_LAB_HOSTS_FILE": str(hosts)}
        well(first.fab("full", "--no-verify", env=env))
        host.exec(WHOLE_SECONDS)
        well(first.fab("full", env=env))  # its kernel compiles what every later one needs
        host.commit(name)
        started.remove("settled")

    return snapshots.take(f"settled-{started.bare.partition(':')[2]}", settle)


class Factory:
    """Makes servers; they are gone when the tests that share them are done."""

    def __init__(self, request, started, operator):
        self.request, self.started, self.operator = request, started, operator
        self.made: set[str] = set()

    def __call__(self, name: str, user: str = "david", **how) -> Server:
        """Start a server, or find it running; the rest is as for several."""
        return self.several(name, user=user, **how)[0]

    def several(
        self, *names: str, user: str = "david", settled: bool = False, debian: str = "", **how
    ) -> list[Server]:
        """Start servers, or find them running.

        :param names: services of the compose file.
        :param settled: david has run `full` there before, with the settings as they are by default.
        :param debian: they are bare, and have this one.
        :param how: how their user is made.
        """
        self.made |= {*names}
        made_from = image.ensure(debian) if debian else None
        if settled:
            made_from = self.request.getfixturevalue("settled_image")
        hosts = self.started.up(*names, image=made_from)
        for host in hosts:
            host.add_user(user, public_key=self.operator.public_key, **how)
            self.operator.know(host)
            if settled:
                host.exec(ANSWERS)
        return [Server(host, self.operator, user) for host in hosts]

    def remove(self) -> None:
        """Remove those that it made, and all that their operator has from them."""
        self.started.remove(*self.made)
        self.operator.start_over()


@pytest.fixture(scope="module")
def server(request, started, operator):
    """Give a factory of this module's servers."""
    make = Factory(request, started, operator)
    yield make
    make.remove()


@pytest.fixture(scope="module")
def servers(server):
    """Give a factory: compose services -> Servers."""
    return server.several


@pytest.fixture(scope="module")
def acme(server) -> Authority:
    """An ACME server, on a server of its own."""
    return Authority(server("acme").host)


@pytest.fixture(scope="module")
def certified(server, acme, tmp_path_factory) -> Named:
    """A server that has a name, and trusts the ACME server's API; without HTTPS at first."""
    site = Named(server("certified", settled=True), acme, tmp_path_factory.mktemp("tls"))
    acme.trust(site.host)
    acme.resolve(DOMAIN, site.host.address)
    return site
