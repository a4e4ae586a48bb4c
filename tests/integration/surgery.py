"""Ways to break a server, each undone at the end."""

from contextlib import contextmanager

from testbed.host import Host

# All that the run started there: whatever is in the session of the shell that holds the turn.
KILL_ALL = r"""
session() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f4; }
own=$(session "$(sed 's/.*process //' /run/jupyterlab-fab.turn)")
for process in /proc/[0-9]*; do
    [ "$(session "${process#/proc/}")" != "$own" ] || kill -9 "${process#/proc/}" || true
done
"""


@contextmanager
def text_of(host: Host, path: str, text: str):
    """Give a file another text; written in place, for some are mounts."""
    host.exec(f"cp -a {path} /root/aside\ncat >{path} <<'END'\n{text}\nEND")
    try:
        yield
    finally:
        host.exec(f"cat /root/aside >{path}; touch -r /root/aside {path}; rm /root/aside")


@contextmanager
def listener(host: Host, port: int):
    """Have a program listen on a port: systemd-socket-activate is on every Debian."""
    host.exec(f"systemd-run -q --collect --unit=squatter systemd-socket-activate -a -l {port} cat")
    waits = f"until grep -q :{port:04X} /proc/net/tcp6; do sleep 0.05; done"
    host.exec(f"timeout 5 sh -c '{waits}'")
    try:
        yield
    finally:
        host.exec("systemctl stop squatter")


@contextmanager
def small_disk(host: Host, path: str, size: str):
    """Mount a small disk there; gone at the end with all that was put on it."""
    host.exec(f"mkdir -p {path} && mount -t tmpfs -o size={size},mode=0755 tmpfs {path}")
    try:
        yield
    finally:
        host.exec(f"umount -l {path}")


@contextmanager
def nginx_with(host: Host, path: str, text: str):
    """Put a file of somebody else into Nginx's configuration."""
    host.exec(f"cat >{path} <<'END'\n{text}\nEND\nnginx -t && nginx -s reload && sleep 1", False)
    try:
        yield
    finally:
        host.exec(f"rm {path}; nginx -s reload; sleep 1")


# The connection of david's run dies: its sshd, which is called sshd-session since OpenSSH 9.8.
SSHD_OF_DAVID = "grep -laE 'sshd(-session)?[:] david' /proc/[0-9]*/cmdline | cut -d/ -f3"
CUT = f"kill -9 $({SSHD_OF_DAVID})"
