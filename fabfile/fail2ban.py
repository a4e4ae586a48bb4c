"""Bans for an hour of addresses that guess the password, if lab.fail2ban is set.

Owns a filter and a jail of fail2ban; without the setting there is no jail. The file without which
fail2ban does not start on Debian 12 stays.
"""

from .engine.converge import converge
from .engine.host import Host
from .items import Absent, File, Item, Packages, Service
from .render import file, render
from .script import call
from .settings import Settings

UNIT = "fail2ban.service"
SSHD = "/etc/fail2ban/jail.d/sshd-journal.conf"


def items(settings: Settings, host: Host) -> list[Item]:
    """Return the packages, the filter, the jail, and fail2ban running with them; or no jail."""
    ours = settings.instance
    if not settings.fail2ban:
        heard = call("systemctl", "try-restart", UNIT)
        return [Absent(path=ours.jail, unit=UNIT, then=heard)]
    names = ("fail2ban", "python3-systemd", "nftables")
    needs = {"needs": names}
    ports = dict.fromkeys((settings.http_port, settings.https_port))
    jail = render("fail2ban/jail.conf.j2", ours=ours, ports=ports)
    return [
        Packages(step="fail2ban", names=names, show=("fail2ban",), recommends=settings.recommends),
        File(
            path=ours.filter,
            content=render("fail2ban/filter.conf.j2", base=settings.base_path),
            **needs,
        ),
        File(path=SSHD, content=file("fail2ban/sshd.conf"), **needs),
        File(path=ours.jail, content=jail, **needs),
        Service(
            unit=UNIT,
            reads=(ours.filter, SSHD, ours.jail),
            verb="restart",
            fix=call("restart_fail2ban", ours.called, ours.log),
            **needs,
        ),
    ]


def fail2ban(c, settings):
    converge(c, settings, items)
