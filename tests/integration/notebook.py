"""Someone who works in JupyterLab: runs cells in a kernel and commands in a terminal, by Nginx."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from contextlib import contextmanager

import httpx
import websocket
from visitor import DOMAIN

TOKEN = "/home/david/.jupyter/jupyterlab_token"
SECONDS = 120


class Notebook:
    """Speaks the two websocket protocols of JupyterLab.

    :param token: another one than the server's own in its file.
    :param base: the folder of the URL under which JupyterLab is.
    """

    def __init__(self, host, token: str = "", domain: str = DOMAIN, base: str = ""):
        self.address, self.domain = host.address, domain
        self.place = f"{self.address}{base}"
        self.token = token or host.exec(f"cat {TOKEN}").strip()
        self.client = httpx.Client(
            base_url=f"http://{self.place}/api",
            headers={"Host": domain, "Authorization": f"token {self.token}"},
            timeout=60,
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
        )

    def ask(self, method: str, path: str, **body):
        """Ask the REST interface, and give the answer; nothing when it is empty."""
        answer = self.client.request(method, path, **({"json": body} if body else {}))
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content else None

    @contextmanager
    def wire(self, path: str):
        """Open a websocket."""
        opened = websocket.create_connection(
            f"ws://{self.place}/{path}",
            host=self.domain,
            origin=f"http://{self.domain}",
            header=[f"Authorization: token {self.token}"],
            timeout=60,  # Jupyter answers when the kernel does, and some start slowly
            http_no_proxy=["*"],
        )
        opened.settimeout(5)
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def kernel(self, name: str = ""):
        """Start a kernel, and shut it down in the end.

        :param name: of another one than JupyterLab's own.
        """
        kernel = self.ask("POST", "kernels", **({"name": name} if name else {}))["id"]
        try:
            with self.wire(f"api/kernels/{kernel}/channels") as wire:
                yield Kernel(wire, kernel)
        finally:
            self.ask("DELETE", f"kernels/{kernel}")

    def cell(self, code: str) -> str:
        """Run one cell in a kernel of its own and give what it prints, or its error."""
        with self.kernel() as kernel:
            return kernel.run(code)

    def terminal(self, command: str) -> tuple[int, str]:
        """Type a command into a terminal of its own: its exit code, and what it printed."""
        name = self.ask("POST", "terminals")["name"]
        mark = uuid.uuid4().hex
        say = f"echo {mark[:9]}''{mark[9:]}"  # the echo of what is typed is not what is looked for
        seen, deadline = "", time.monotonic() + SECONDS
        try:
            with self.wire(f"terminals/websocket/{name}") as wire:
                wire.send(json.dumps(["stdin", f"{say}; {{ {command}; }}; {say}=$?=\r"]))
                while f"{mark}=" not in seen and time.monotonic() < deadline:
                    kind, *words = heard(wire) or ["silence"]
                    seen += words[0] if kind == "stdout" else ""
        finally:
            self.ask("DELETE", f"terminals/{name}")
        assert f"{mark}=" in seen, f"no end of {command!r}: {seen}"
        _, shown, code = seen.replace("\r", "").split(mark)
        return int(code.split("=")[1]), shown.removeprefix("\n")


def heard(wire):
    """The next message, or None after 5 s of silence."""
    try:
        return json.loads(wire.recv())
    except websocket.WebSocketTimeoutException:
        return None


class Kernel:
    """One kernel, and the websocket to it."""

    def __init__(self, wire, name: str):
        self.wire, self.name = wire, name

    def send(self, code: str) -> str:
        """Send a cell, and give the id under which its answers come."""
        request = uuid.uuid4().hex
        header = {"msg_id": request, "msg_type": "execute_request", "session": self.name,
                  "username": "david", "version": "5.3", "date": ""}  # fmt: skip
        content = {"code": code, "silent": False, "stop_on_error": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "channel": "shell"}
        self.wire.send(json.dumps({**message, "content": content}))
        return request

    def messages(self, patience: float = SECONDS):
        """Give kind, content and cause of every message as it comes, while patience lasts."""
        deadline = time.monotonic() + patience  # pings of the server would keep a mere timeout off
        while True:
            assert time.monotonic() < deadline, f"no answer within {patience} s"
            message = heard(self.wire)
            if message is None:
                continue
            yield message["msg_type"], message["content"], message["parent_header"].get("msg_id")

    def run(self, code: str, patience: float = SECONDS, warnings: bool = True) -> str:
        """Run a cell and give what it printed, the kinds of what it showed, and its error.

        :param warnings: also what it printed as an error, which comes in any order.
        """
        request, told, done = self.send(code), "", 0
        for kind, content, cause in self.messages(patience):
            if cause != request:
                continue
            if kind == "stream" and (warnings or content["name"] == "stdout"):
                told += content["text"]
            elif kind in ("execute_result", "display_data"):
                told += "\n".join([content["data"].get("text/plain", ""), *content["data"]])
            elif kind == "error":
                told += f"{content['ename']}: {content['evalue']}"
            # the reply and the output come on different ways, in any order
            done += kind == "execute_reply" or content.get("execution_state") == "idle"
            if done == 2:
                return told

    def run_when_up(self, code: str) -> str:
        """The same in a kernel that is just started again, which loses what comes too early."""
        for _ in range(5):
            with contextlib.suppress(AssertionError):
                return self.run(code, patience=5)
        return self.run(code)
