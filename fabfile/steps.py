"""The steps of `full`, in order."""

from . import deps, fail2ban, jupyter, kernels, nginx, schedule, systemd, tls

STEPS = (
    deps.items, jupyter.items, systemd.items, tls.items, nginx.items, fail2ban.items,
    schedule.items,
    kernels.items,  # last: a package that cannot be installed must not block the rest
)  # fmt: skip
