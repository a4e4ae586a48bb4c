"""Everything of a server that a run which only looks must leave alone."""

import re

from testbed.host import docker

# What is not of the run: other file systems, and what sshd and PAM write for any login at all; of
# /tmp only its own times, for apt's simulation sorts there; and systemd's service of the clock,
# which comes for half a minute when somebody asks what time it is.
OTHERS = re.compile(
    r"""
    /(run|proc|sys|dev)(/.*)?
    | /(var/)?tmp(/systemd-private-.*)?
    | /var/log/(wtmp|btmp|lastlog|auth\.log|faillog|journal(/.*)?)
    """,
    re.VERBOSE,
)
MOUNTED = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"]  # by the engine, on no layer
# Nobody sets the time of a file's last change (%Z) back: who writes to one is seen by it.
FILES = """
xargs -r -d '\\n' stat --format '%N %F %u:%g %a %.Y %.Z %s' 2>/dev/null <<'END' || true
{}
END
"""
# The run's own files are under /run, which is not on that disk; sessions come and go with a login.
STATES = r"""
ls -d /run/jupyterlab* 2>/dev/null || true
cat /run/jupyterlab-fab.turn 2>/dev/null || true
dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n'
systemctl list-units --all --plain --no-legend --type=service,socket,path,target,timer,mount \
    | grep -v -e '^user@' -e '^user-' -e '^run-user' -e '^run-docker' -e '^systemd-timedated' \
    | awk '{ print $1, $3, $4 }'
systemctl show jupyterlab nginx -p MainPID -p UnitFileState
"""


def everything(server) -> set[str]:
    """List what came, changed or went since the server was made, packages, and states of units.

    Of a file also its rights and times: whatever is written once is in the engine's list.
    """
    listed = docker("diff", server.host.container).stdout.splitlines()
    own = [line for line in listed if not OTHERS.fullmatch(line[2:])]
    files = FILES.format("\n".join([line[2:] for line in own] + MOUNTED))
    gone = {line for line in own if line.startswith("D ")}
    return {*gone, *server.host.exec(files + STATES).splitlines()}
