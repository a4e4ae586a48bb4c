"""Everything of a server that a run which only looks must leave alone."""

# What is not of the run: other file systems (-xdev: /proc, /sys, /dev, /run), and what sshd and
# PAM write for any login at all; of /tmp only its own times, for apt's simulation sorts there; and
# systemd's service of the clock, which comes for half a minute when somebody asks what time it is.
# Nobody sets the time of a file's last change (%C@) back: who writes to one is seen by it.
FILES = r"""
cd /
find . -xdev \( -path ./run -o -path ./proc -o -path ./sys -o -path ./dev \
    -o -path ./var/log/wtmp -o -path ./var/log/btmp -o -path ./var/log/lastlog \
    -o -path './tmp/systemd-private-*' -o -path './var/tmp/systemd-private-*' \
    -o -path ./var/log/auth.log -o -path ./var/log/journal -o -path ./var/log/faillog \) -prune \
    -o ! -path ./tmp ! -path ./var/tmp -printf '%p %y %U:%G %m %T@ %C@ %s %l\n' | sort
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
    """List all files with their rights and times, packages, and the states of units."""
    return set(server.host.exec(FILES + STATES).splitlines())
