"""Test a venv before JupyterLab runs from it: exit 0, or 1 with a line that says what is wrong.

Usage: check_venv.py RUN_IN_KERNEL.PY CONFIG SECONDS NAME...     (on the server, as the user, with
the venv's python)
The packages must fit together, the NAMEd ones be importable, its JupyterLab start with CONFIG on a
socket of its own, and one of its kernels compute.
"""

import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from importlib.metadata import packages_distributions
from pathlib import Path


def canonical(name: str) -> str:
    """Return a name as package indexes compare it (PEP 503)."""
    return name.lower().replace("_", "-").replace(".", "-")


def refuse(what: str, words: str = "") -> None:
    """Print the output of a failed check, and exit with what is wrong."""
    print(words.strip()[-2000:])
    raise SystemExit(f"the new venv was refused: {what}")


def tried(what: str, *command: str, seconds: float = 120) -> None:
    """Run the venv's Python, and refuse the venv when that fails."""
    try:
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        refuse(f"{what}: no result after {seconds:.0f} s")
    if done.returncode:
        refuse(what, done.stdout + done.stderr)


def modules(names: list[str]) -> list[str]:
    """Return the modules that these distributions provide."""
    asked = {canonical(name) for name in names}
    found = packages_distributions().items()
    return sorted(
        m for m, owners in found if asked & set(map(canonical, owners)) and m.isidentifier()
    )


class Local(http.client.HTTPConnection):
    """An HTTP connection over a Unix socket."""

    def __init__(self, path: str):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path: str, token: str, method: str, place: str) -> tuple[int, bytes]:
    """Send a request to the server's socket, and return status and body."""
    wire = Local(path)
    wire.request(method, place, headers={"Authorization": f"token {token}"})
    answer = wire.getresponse()
    return answer.status, answer.read()


def served(server, path: str, token: str, run_in_kernel_py: str, seconds: int, log: Path) -> None:
    """Wait until JupyterLab answers, then start a kernel and let it compute."""
    end = time.monotonic() + seconds
    while True:
        try:
            status, _ = ask(path, token, "GET", "/api/status")
            break
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                refuse("JupyterLab does not start", log.read_text(errors="replace"))
            time.sleep(0.1)
    page, _ = ask(path, token, "GET", "/lab")
    if (status, page) != (200, 200):
        refuse(f"JupyterLab answers {status}, and {page} at /lab", log.read_text(errors="replace"))
    status, told = ask(path, token, "POST", "/api/kernels")
    if status != 201:
        refuse(f"no kernel starts: {status}", told.decode(errors="replace"))
    place = Path(path).parent / "token"
    place.write_text(token)
    kernel = json.loads(told)["id"]
    tell = [run_in_kernel_py, "http://localhost:80", kernel, str(place), "", path]
    done = subprocess.run([sys.executable, *tell], capture_output=True, text=True, timeout=120)
    ask(path, token, "DELETE", f"/api/kernels/{kernel}")
    if not done.stdout.startswith("42 "):
        refuse("its kernel does not compute", done.stdout + done.stderr)


def main(run_in_kernel_py: str, config: str, seconds: str, *names: str) -> int:
    """Run all checks, the quick ones first."""
    os.environ["PYTHONSAFEPATH"] = "1"  # as in the service: import nothing from the home
    tried("its packages do not fit together (pip check)", "-m", "pip", "check")
    imports = "\n".join(f"import {name}" for name in modules(list(names)))
    tried("its packages cannot be imported", "-c", imports)
    with tempfile.TemporaryDirectory(prefix="jupyterlab-") as folder:
        place, token = Path(folder), secrets.token_hex(24)
        path, log = f"{folder}/s", place / "log"
        own = {"JUPYTER_TOKEN": token, "JUPYTER_RUNTIME_DIR": folder}
        theirs = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTER_")}
        # the config may set a port, which excludes a socket; it also ends if this program is killed
        options = [f"--config={config}", f"--ServerApp.sock={path}", "--ServerApp.port=8888"]
        options += ["--ServerApp.base_url=/", "--ServerApp.shutdown_no_activity_timeout=300"]
        with log.open("wb") as out:
            server = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options],
                env={**theirs, **own, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"},
                stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            served(server, path, token, run_in_kernel_py, int(seconds), log)
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
