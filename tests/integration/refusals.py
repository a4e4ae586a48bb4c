"""What every refusal has in common."""

from subprocess import CompletedProcess

# Every connection has ended, and all that sshd said of it is written: the rest of it comes late.
HEARD = (
    "n=100; while grep -qsaE '^sshd(-session|-auth)?: [^/]' /proc/[0-9]*/cmdline && [ $n -gt 0 ]\n"
    "do sleep 0.1; n=$((n-1)); done; journalctl --sync || true\n"
    "journalctl -t sshd -t sshd-session -o cat --no-pager"
)


def refused(done: CompletedProcess[str], *words: str) -> None:
    """Assert that fab refused in one clear last line, which holds these words."""
    whole = done.stdout + done.stderr
    assert "Traceback" not in whole, whole
    assert done.returncode == 1, f"exit {done.returncode}\n{whole}"
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, f"not one line of error, but {len(lines)}:\n{whole}"
    missing = [word for word in words if word not in lines[0]]
    assert not missing, f"{missing} not in: {lines[0]}"


def state(server) -> str:
    """What a refused run must not touch: packages, and every file of the system and the user."""
    return server.host.exec(
        "dpkg-query -W\n"
        "find /etc /home /opt /srv /usr /var/backups /var/lib/apt /var/lib/dpkg "
        "! -type d -printf '%p %T@ %m %u %g\\n' | sort"
    )
