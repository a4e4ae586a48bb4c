"""Wait until JupyterLab answers: exit 0 then, 1 when the unit has failed, 2 when the time is up.

Usage: wait_ready.py SOCKET-OR-PORT SECONDS UNIT     (runs on the server, needs no token)
"""

import contextlib
import socket
import subprocess
import sys
import time


def is_ready(target: str) -> bool:
    """Check whether /api, which needs no login, answers; with a path prefix Tornado answers 404."""
    local = target.startswith("/")
    with socket.socket(socket.AF_UNIX if local else socket.AF_INET) as wire:
        wire.settimeout(5)
        wire.connect(target if local else ("127.0.0.1", int(target)))
        wire.sendall(b"GET /api HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = wire.recv(512)
        return b" 200 " in answer[:64] or (b" 404 " in answer[:64] and b"TornadoServer" in answer)


def restarts(unit: str) -> int:
    """Return how often systemd has restarted the unit by itself."""
    command = ["systemctl", "show", "-p", "NRestarts", "--value", unit]
    return int(subprocess.run(command, capture_output=True, text=True).stdout.strip() or 0)


def main(target: str, seconds: str, unit: str) -> int:
    """Try every 50 ms, and check the unit after ten times."""
    end, before = time.monotonic() + int(seconds), restarts(unit)
    while time.monotonic() < end:
        for _ in range(10):
            with contextlib.suppress(OSError):
                if is_ready(target):
                    return 0
            time.sleep(0.05)
        if restarts(unit) > before:
            return 1
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
