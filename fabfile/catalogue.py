"""List of all tasks: a new task takes an import and a line here."""

from . import deps, fail2ban, full, hosts, jupyter, kernels, nginx, schedule, systemd, tls, verify
from .backup import backup, restore
from .cluster import cluster
from .doctor import doctor
from .manage import audit, login, logs, open, packages, service, upgrade
from .status import status
from .uninstall import uninstall

# Tasks that `fab fleet` can run on many hosts.
FLEET = (
    full.full,
    deps.deps,
    jupyter.jupyter,
    kernels.kernels,
    systemd.systemd,
    tls.tls,
    nginx.nginx,
    fail2ban.fail2ban,
    verify.verify,
    doctor.doctor,
    status.status,
    logs.logs,
    service.restart,
    service.stop,
    service.start,
    packages.packages,
    upgrade.upgrade,
    upgrade.rollback,
    backup.backup,
    restore.restore,
    schedule.schedule,
    login.token,
    audit.audit,
    uninstall.uninstall,
)
# Tasks that `fab fleet` cannot run: they are for this machine or one host, or ask questions.
ALONE = (full.script, hosts.hosts, open.open, login.password, cluster.cluster)
