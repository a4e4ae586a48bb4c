"""Ways to a server: its key pinned, ssh_config, a jump host, IPv6, a boot, and kinds of sudo."""

import re
import threading
import time
from contextlib import contextmanager

import pytest
from dual import by_ipv6
from outcomes import well
from refusals import HEARD, refused, state

from testbed.host import keypair

pytestmark = pytest.mark.network

SUDO = "s3cret of sudo"
FOR_DAVID = {"FABRIC_LAB_USER": "david"}  # root logs in, but the service is not root's
WRONG = "SHA256:" + "A" * 43


@pytest.fixture(scope="module")
def both(servers):
    return servers("met", "jump")


@pytest.fixture(scope="module")
def site(both):
    return both[0]


@pytest.fixture(scope="module")
def jump(both):
    return both[1]


@pytest.fixture
def known(tmp_path):
    """The known hosts of somebody who has never been there."""
    (tmp_path / "known_hosts").touch()
    return tmp_path / "known_hosts"


def fingerprint(server) -> str:
    return server.host.exec("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]


@contextmanager
def unheard(server):
    """Assert that the server's sshd gets a connection meanwhile, but never a user's name."""
    before, heard = server.host.exec(HEARD), ""
    yield
    deadline = time.monotonic() + 10
    while not heard and time.monotonic() < deadline:  # the journal is written a little later
        time.sleep(0.1)
        heard = server.host.exec(HEARD).removeprefix(before)
    assert heard and "david" not in heard


# --- whose key it is ---------------------------------------------------------------------------


def test_a_pinned_fingerprint_needs_no_known_hosts(site, known):
    env = {"FABRIC_LAB_KNOWN_HOSTS": str(known), "FABRIC_LAB_HOST_KEY": fingerprint(site)}
    well(site.fab("status", env=env))
    assert known.read_text() == ""


@pytest.mark.parametrize("is_known", [True, False])
def test_a_wrong_pin_is_refused_before_anything_is_sent(site, known, is_known):
    known.write_text(site.host.host_keys() if is_known else "")
    env = {"FABRIC_LAB_KNOWN_HOSTS": str(known), "FABRIC_LAB_HOST_KEY": WRONG}
    before = state(site)
    with unheard(site):
        refused(site.fab("full", env=env), fingerprint(site), WRONG, "pinned")
    assert state(site) == before


# --- ssh_config --------------------------------------------------------------------------------


@pytest.fixture
def by_config(operator, tmp_path):
    """Run fab with an ssh_config of this text; nothing of the way is told by other means."""

    def run(text: str, *words: str, **options):
        (tmp_path / "ssh_config").write_text(text)
        return operator.fab("-S", str(tmp_path / "ssh_config"), *words, **options)

    return run


@pytest.fixture
def second_port(site):
    """A second sshd of the server, on port 2200."""
    site.host.exec(
        "systemd-run -q --collect --unit=sshd2 /usr/sbin/sshd -D -p 2200\n"
        "timeout 30 sh -c 'until ss -Hltn | grep -q :2200; do sleep 0.05; done'"
    )
    yield 2200
    site.host.exec("systemctl stop sshd2")


def test_an_alias_with_name_user_port_key_and_host_key_alias(site, known, by_config, second_port):
    config = (
        f"Host lab\n  HostName {site.host.address}\n  User david\n  Port {second_port}\n"
        f"  IdentityFile {site.operator.key}\n  HostKeyAlias the-lab\n"
    )
    env = {"FABRIC_LAB_KNOWN_HOSTS": str(known), "FABRIC_LAB_HOST_KEY": "strict"}
    refused(by_config(config, "-H", "lab", "status", env=env), "the-lab", "not known")
    known.write_text(site.host.host_keys().replace(site.host.address, "the-lab"))
    assert "david@lab:2200" in well(by_config(config, "-H", "lab", "status", env=env))


def test_a_changed_key_under_an_alias(site, known, by_config, tmp_path):
    config = (
        f"Host lab\n  HostName {site.host.address}\n  User david\n"
        f"  IdentityFile {site.operator.key}\n  HostKeyAlias the-lab\n"
    )
    _, another = keypair(tmp_path)
    known.write_text(f"the-lab {another}\n")
    env = {"FABRIC_LAB_KNOWN_HOSTS": str(known), "FABRIC_LAB_HOST_KEY": "accept-new"}
    with unheard(site):
        done = by_config(config, "-H", "lab", "status", env=env)
    refused(done, "HAS CHANGED", "ssh-keygen -R 'the-lab'")


# --- through another host ----------------------------------------------------------------------


@pytest.fixture
def through(site, jump):
    """The ssh_config of a server behind another one."""
    return (
        f"Host door\n  HostName {jump.host.address}\n  User david\n"
        f"Host lab\n  HostName {site.host.address}\n  User david\n  ProxyJump door\n"
        f"Host *\n  IdentityFile {site.operator.key}\n"
    )


def strict(known, *servers) -> dict[str, str]:
    """An environment in which only these servers are known."""
    known.write_text("".join(server.host.host_keys() for server in servers))
    return {"FABRIC_LAB_KNOWN_HOSTS": str(known), "FABRIC_LAB_HOST_KEY": "strict"}


def test_a_proxy_jump_is_taken(site, jump, known, by_config, through):
    env = strict(known, site, jump)
    with from_address(site) as peers:
        well(by_config(through, "-H", "lab", "status", env=env))
    assert peers == {jump.host.address}


@contextmanager
def from_address(server):
    """Give a set: at the end, the addresses from which logins came meanwhile."""
    before, found = server.host.exec(HEARD), set()
    yield found
    deadline = time.monotonic() + 10
    while not found and time.monotonic() < deadline:
        time.sleep(0.1)
        new = server.host.exec(HEARD).removeprefix(before)
        found |= set(re.findall(r"Accepted \S+ for \S+ from (\S+)", new))


def test_an_unknown_jump_host_is_refused(site, jump, known, by_config, through):
    with unheard(jump):
        done = by_config(through, "-H", "lab", "status", env=strict(known, site))
    refused(done, jump.host.address, "not known")


def test_a_jump_host_does_not_spare_the_check_of_the_server(site, jump, known, by_config, through):
    with unheard(site):
        done = by_config(through, "-H", "lab", "status", env=strict(known, jump))
    refused(done, site.host.address, "not known")


def test_a_changed_jump_host_is_refused(site, jump, known, by_config, through, tmp_path):
    _, another = keypair(tmp_path)
    env = strict(known, site) | {"FABRIC_LAB_HOST_KEY": "accept-new"}
    with known.open("a") as file:
        file.write(f"{jump.host.address} {another}\n")
    done = by_config(through, "-H", "lab", "status", env=env)
    refused(done, "HAS CHANGED", f"ssh-keygen -R '{jump.host.address}'")


def test_a_pin_is_the_servers_and_a_known_jump_host_serves(site, jump, known, by_config, through):
    env = strict(known, jump) | {"FABRIC_LAB_HOST_KEY": fingerprint(site)}
    well(by_config(through, "-H", "lab", "status", env=env))


def test_a_jump_host_that_is_down_is_named(site, jump, known, by_config, through):
    env = strict(known, site, jump) | {"FABRIC_LAB_BOOT_WAIT": "0"}
    jump.host.exec("systemctl stop ssh")
    try:
        done = by_config(through, "-H", "lab", "status", env=env)
    finally:
        jump.host.exec("systemctl start ssh")
    refused(done, jump.host.address, "refuses port 22")


# --- IPv6 --------------------------------------------------------------------------------------


@pytest.fixture
def ipv6(site):
    """An IPv6 address of the server that this machine reaches."""
    with by_ipv6(site.host) as address:
        yield address


def test_an_ipv6_host(site, operator, known, ipv6):
    known.write_text(site.host.host_keys().replace(site.host.address, ipv6))
    env = {"FABRIC_LAB_KNOWN_HOSTS": str(known), "FABRIC_LAB_HOST_KEY": "strict"}
    key = str(operator.key)
    done = operator.fab("-H", f"david@{ipv6}", "-i", key, "status", env=env)
    assert f"david@{ipv6}" in well(done)
    known.write_text("")
    done = operator.fab("-H", f"david@{ipv6}", "-i", key, "status", env=env)
    refused(done, ipv6, "not known")


# --- a host that starts ------------------------------------------------------------------------


@contextmanager
def later(site, first: str, then: str, seconds: float):
    """Do something on the server, and something else some seconds later."""
    site.host.exec(first)
    timer = threading.Timer(seconds, site.host.exec, [then])
    timer.start()
    try:
        yield
    finally:
        timer.join()


def test_a_host_without_sshd_yet_is_waited_for(site):
    with later(site, "systemctl stop ssh", "systemctl start ssh", 3):
        began = time.monotonic()
        well(site.fab("status", env={"FABRIC_LAB_BOOT_WAIT": "20"}))
    assert time.monotonic() - began > 2


def test_not_longer_than_the_setting_says(site):
    site.host.exec("systemctl stop ssh")
    try:
        done = site.fab("status", env={"FABRIC_LAB_BOOT_WAIT": "1"})
    finally:
        site.host.exec("systemctl start ssh")
    refused(done, "refuses port 22")


def test_a_host_whose_sshd_lets_nobody_in_yet_is_waited_for(site):
    # systemd-tmpfiles makes that file at boot, systemd-user-sessions takes it away a little later
    text = "System is booting up. Unprivileged users are not permitted to log in yet."
    with later(site, f"echo '{text}' >/run/nologin", "rm -f /run/nologin", 3):
        done = site.fab("status", env={"FABRIC_LAB_BOOT_WAIT": "20"})
    well(done)


def test_a_host_that_reboots_is_waited_for(site):
    reach = site.reach  # a stopped container has no address; nobody else starts meanwhile
    site.host.stop()
    starting = threading.Timer(2, site.host.start)
    starting.start()
    well(site.operator.fab(*reach, "status", env={"FABRIC_LAB_BOOT_WAIT": "90"}))
    starting.join()


# --- becoming root -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(server, site):
    """Root of the server, with the packages in place."""
    return server("met", "root", home="/root", sudo="none")


@pytest.fixture
def lacking(site, root):
    """Take one package away, so that there is something to do as root."""
    if not site.infra.package("curl").is_installed:
        well(root.fab("deps", env=FOR_DAVID))
    site.host.exec("dpkg --remove --force-depends curl 2>&1")


def mended(site, done) -> None:
    assert "1 change made" in well(done)
    assert SUDO not in done.stdout + done.stderr
    assert site.infra.package("curl").is_installed


def test_root_needs_no_sudo(site, root, lacking):
    site.host.exec("mv /usr/bin/sudo /root/sudo")
    try:
        done = root.fab("deps", env=FOR_DAVID)
    finally:
        site.host.exec("mv /root/sudo /usr/bin/sudo")
    mended(site, done)


@contextmanager
def sudoers(site, line: str):
    site.host.exec(
        f"echo '{line}' >/etc/sudoers.d/zz && chmod 0440 /etc/sudoers.d/zz && visudo -cq"
    )
    try:
        yield
    finally:
        site.host.exec("rm -f /etc/sudoers.d/zz")


HOW = {
    "without a password": ("nopasswd", {}),
    "with a password": ("password", {"FABRIC_SUDO_PASSWORD": SUDO}),
}


@pytest.mark.parametrize(
    "defaults",
    [
        "",
        "Defaults requiretty",
        "Defaults lecture=always",
        "Defaults use_pty",
        "Defaults log_input,log_output",
    ],
)
@pytest.mark.parametrize(("kind", "env"), HOW.values(), ids=HOW)
def test_sudo(site, server, lacking, kind, env, defaults):
    eve = server("met", "eve", sudo=kind, password=SUDO)
    with sudoers(site, defaults):
        done = eve.fab("deps", env=env)
    mended(site, done)


def test_a_wrong_password_for_a_sudo_that_wants_a_terminal(site, server, lacking):
    eve = server("met", "eve", sudo="password", password=SUDO)
    with sudoers(site, "Defaults requiretty"):
        done = eve.fab("deps", env={"FABRIC_SUDO_PASSWORD": "wr0ng"})
    refused(done, "refuses this password", "eve")
    assert not site.infra.package("curl").is_installed


# --- login shells ------------------------------------------------------------------------------

NOISE = "echo begin 3\\necho @@@ AUTHORIZED USERS ONLY\\necho end 0 0\\n"
SHELLS = {
    "bash": ("/bin/bash", ".bashrc"),
    "csh": ("/bin/csh", ".cshrc"),
    "fish": ("/usr/bin/fish", ".config/fish/config.fish"),
}


@pytest.fixture(scope="module")
def shells(site):
    site.host.exec("apt-get update -qq; apt-get install -qqy --no-install-recommends csh fish 2>&1")


@pytest.mark.parametrize(("shell", "rc"), SHELLS.values(), ids=SHELLS)
def test_a_login_shell_of_any_kind_may_say_anything(site, server, shells, lacking, shell, rc):
    eve, home = server("met", "eve"), "/home/eve"
    site.host.exec(
        f"mkdir -p {home}/.config/fish; printf '{NOISE}' >{home}/{rc}; chsh -s {shell} eve"
    )
    try:
        done = eve.fab("deps")
    finally:
        site.host.exec(f"rm {home}/{rc}; chsh -s /bin/bash eve")
    mended(site, done)
    assert "done" in done.stdout and "AUTHORIZED" not in done.stdout
