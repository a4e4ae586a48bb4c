"""JupyterLab behind Nginx on your own Debian server: `fab -H david@1.1.1.1 full`."""

from invoke import Collection

from . import (
    audit,
    backup,
    browse,
    deps,
    fail2ban,
    fleet,
    full,
    hosts,
    jupyter,
    kernels,
    login,
    logs,
    nginx,
    packages,
    restore,
    schedule,
    service,
    status,
    systemd,
    tls,
    uninstall,
    upgrade,
    verify,
)
from . import broken as broken
from . import hush as hush
from .settings import DEFAULTS

ns = Collection(
    full.full,
    full.script,
    deps.deps,
    jupyter.jupyter,
    kernels.kernels,
    systemd.systemd,
    tls.tls,
    nginx.nginx,
    fail2ban.fail2ban,
    hosts.hosts,
    verify.verify,
    packages.packages,
    upgrade.upgrade,
    upgrade.rollback,
    status.status,
    browse.open,
    logs.logs,
    service.restart,
    service.stop,
    service.start,
    audit.audit,
    backup.backup,
    restore.restore,
    schedule.schedule,
    fleet.fleet,
    login.password,
    login.token,
    uninstall.uninstall,
)
ns.configure(DEFAULTS)
