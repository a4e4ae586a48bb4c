"""A whole server as a list of lines: what is to be the same before and after."""

import re

# Other file systems are not of the disk (-xdev); /tmp is everybody's.
LISTING = r"""
cd /
find . -xdev \( -path ./run -o -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp \) -prune \
    -o -printf 'path %p %y %U:%G %m %l\n'
find . -xdev \( -path ./tmp -o -path ./run -o -path ./proc -o -path ./sys -o -path ./dev \) -prune \
    -o -type f -print0 | xargs -0 sha256sum | sed 's/^\([^ ]*\)  \(.*\)/content \2 \1/'
dpkg-query -W -f 'package ${Package} ${Version} ${db:Status-Abbrev}\n'
for mark in auto manual; do
    apt-mark -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "show$mark" | sed "s/^/$mark /"
done
getent passwd | sed 's/^/user /'; getent group | sed 's/^/group /'
getent shadow | sed 's/^/shadow /'
systemctl list-unit-files --no-legend --plain | sed 's/^/unit /'
systemctl list-units --all --plain --no-legend --type=service,socket,path,target,timer \
    | awk '{ print "state", $1, $3, $4 }'
sed 's/^/hosts /' /etc/hosts
ls -d /run/jupyterlab* 2>/dev/null | sed 's/^/run /'
nft list tables 2>/dev/null | sed 's/^/firewall /'
"""
ALLOWED = re.compile(
    r"""
    (path|content)\ \./var/log/.*  # logs stay
    | content\ \./var/cache/apt/(src)?pkgcache\.bin\ .*  # apt's own, where there was one
    | content\ \./var/cache/ldconfig/aux-cache\ .*  # ldconfig's own, of the same libraries
    | content\ \./var/cache/debconf/\S+-old\ .*  # the file before the last change of debconf,
    | content\ \./var/lib/dpkg/\S+-old\ .*  # and of dpkg
    | content\ \./var/lib/dpkg/status\ .*  # in another order; what it says is in `package` lines
    | content\ \./var/lib/apt/extended_states\ .*  # likewise; it is in `auto` and `manual`
    | (path|content)\ \./var/lib/apt/extended_states\.\w{6}\ .*  # apt's, when it was killed
    | content\ \./var/lib/systemd/(random-seed|timers/.*)\ .*  # systemd's, of any day
    | state\ (network-online|nss-lookup)\.target\ .*  # which Nginx wants: until a reboot
    | state\ (user|user-runtime-dir)@.*  # who is logged in
    | state\ (apt-daily|dpkg-db-backup|e2scrub|fstrim|systemd-)\S+\ .*  # systemd's, of any day
    """,
    re.VERBOSE,
)


def census(server) -> set[str]:
    """List files with content, owner, mode and target; packages with marks; users; units."""
    return set(server.host.exec(LISTING).splitlines())


def differences(before: set[str], after: set[str], *allowed: str) -> list[str]:
    """What came and went, but for what may.

    :param allowed: further patterns.
    """
    rows = [f"- {line}" for line in before - after] + [f"+ {line}" for line in after - before]
    patterns = [ALLOWED, *map(re.compile, allowed)]
    return sorted(row for row in rows if not any(p.fullmatch(row[2:]) for p in patterns))
