"""Try a venv before anything is served from it: exit 1 and a line on what is wrong, else 0.

Usage: check.py KERNEL.PY CONFIG SECONDS NAME...     (on the server, as the user, with its python)
The packages fit together, those NAMEd can be imported, a JupyterLab of it starts with the CONFIG on
a socket of its own, and one of its kernels computes.
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
    """Write a name as the index compares it (PEP 503)."""
    return name.lower().replace("_", "-").replace(".", "-")


def refuse(what: str, words: str = "") -> None:
    """End with what was tried, and what was said to it."""
    print(words.strip()[-2000:])
    raise SystemExit(f"the new venv was refused: {what}")


def tried(what: str, *command: str, seconds: float = 120) -> None:
    """Run the venv's python, which must end well."""
    try:
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        refuse(f"{what}: not done after {seconds:.0f} s")
    if done.returncode:
        refuse(what, done.stdout + done.stderr)


def modules(names: list[str]) -> list[str]:
    """The modules that come with these distributions."""
    asked = {canonical(name) for name in names}
    found = packages_distributions().items()
    return sorted(
        m for m, owners in found if asked & set(map(canonical, owners)) and m.isidentifier()
    )


class Local(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path: str, token: str, method: str, place: str) -> tuple[int, bytes]:
    """Ask the server on its socket: the status, and what it says."""
    wire = Local(path)
    wire.request(method, place, headers={"Authorization": f"token {token}"})
    answer = wire.getresponse()
    return answer.status, answer.read()


def served(server, path: str, token: str, kernel_py: str, seconds: int, log: Path) -> None:
    """Wait until it answers; then start a kernel, and have it compute."""
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
    tell = [kernel_py, "http://localhost:80", kernel, str(place), "", path]
    done = subprocess.run([sys.executable, *tell], capture_output=True, text=True, timeout=120)
    ask(path, token, "DELETE", f"/api/kernels/{kernel}")
    if not done.stdout.startswith("42 "):
        refuse("its kernel does not compute", done.stdout + done.stderr)


def main(kernel_py: str, config: str, seconds: str, *names: str) -> int:
    """Everything, the quick things first."""
    os.environ["PYTHONSAFEPATH"] = "1"  # as for the service: no module of the home's
    tried("its packages do not fit together", "-m", "pip", "check")
    imports = "\n".join(f"import {name}" for name in modules(list(names)))
    tried("what is in it cannot be imported", "-c", imports)
    with tempfile.TemporaryDirectory(prefix="jupyterlab-") as folder:
        place, token = Path(folder), secrets.token_hex(24)
        path, log = f"{folder}/s", place / "log"
        own = {"JUPYTER_TOKEN": token, "JUPYTER_RUNTIME_DIR": folder}
        theirs = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTER_")}
        # a port of the config's would not go with the socket; if this is killed, it ends by itself
        options = [f"--config={config}", f"--ServerApp.sock={path}", "--ServerApp.port=8888"]
        options += ["--ServerApp.base_url=/", "--ServerApp.shutdown_no_activity_timeout=300"]
        with log.open("wb") as out:
            server = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options],
                env={**theirs, **own, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"},
                stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            served(server, path, token, kernel_py, int(seconds), log)
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
