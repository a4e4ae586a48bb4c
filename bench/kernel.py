"""One kernel, asked over its websocket by different doors: round trips, messages a second."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from dataclasses import dataclass

import httpx
import websocket

# Of a kind that Jupyter's limit of 1000 a second leaves alone, as long as a printed line.
STREAM = """
kernel = get_ipython().kernel
for n in range({count}):
    told = {{"execution_state": "busy", "line": n, "text": "x" * 80}}
    kernel.session.send(kernel.iopub_socket, "status", told, kernel.get_parent(), ident=b"bench")
"""


@dataclass(frozen=True)
class Door:
    """A way to the same JupyterLab: the name in an address, where that is, and the port."""

    name: str
    address: str
    token: str
    port: int = 80

    @property
    def url(self) -> str:
        """What a browser is given."""
        return f"http://{self.origin}"

    @property
    def origin(self) -> str:
        """The name, with the port where it is said."""
        return self.name if self.port == 80 else f"{self.name}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """Who asks, and for whom."""
        return {"Host": self.origin, "Authorization": f"token {self.token}"}

    def ask(self, method: str, path: str) -> dict:
        """Ask the REST interface."""
        url = f"http://{self.address}:{self.port}/api/{path}"
        answer = httpx.request(method, url, headers=self.headers, timeout=60, trust_env=False)
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    def cookies(self) -> list[dict[str, str]]:
        """Log in; give the cookies as a browser takes them."""
        answer = httpx.get(
            f"http://{self.address}:{self.port}/lab",
            params={"token": self.token},
            headers={"Host": self.origin},
            timeout=60,
            trust_env=False,
        )
        answer.raise_for_status()
        pairs = answer.cookies.items()
        return [{"name": name, "value": value, "url": self.url} for name, value in pairs]

    @contextlib.contextmanager
    def wire(self, kernel: str):
        """Open the websocket of a kernel."""
        opened = websocket.create_connection(
            f"ws://{self.address}:{self.port}/api/kernels/{kernel}/channels",
            host=self.origin,
            origin=self.url,
            header=[f"Authorization: token {self.token}"],
            timeout=60,
            http_no_proxy=["*"],
        )
        try:
            yield Wire(opened)
        finally:
            opened.close()


class Wire:
    """Speaks with a kernel."""

    def __init__(self, opened: websocket.WebSocket):
        self.opened = opened

    def send(self, kind: str, **content) -> str:
        """Send a request; give its id, by which its answers are known."""
        name = uuid.uuid4().hex
        header = {"msg_id": name, "msg_type": kind, "session": "bench", "username": "",
                  "version": "5.3", "date": ""}  # fmt: skip
        parts = {"header": header, "parent_header": {}, "metadata": {}, "channel": "shell"}
        self.opened.send(json.dumps({**parts, "content": content}))
        return name

    def answers(self, name: str):
        """Give the messages that answer a request, as text."""
        while True:
            if name in (text := self.opened.recv()):
                yield text

    def round_trip(self) -> float:
        """Seconds until the kernel has answered what costs it next to nothing."""
        began = time.perf_counter()
        for text in self.answers(self.send("kernel_info_request")):
            if "kernel_info_reply" in text:
                return time.perf_counter() - began

    def run(self, code: str) -> str:
        """Run a cell to its end, and give what it printed.

        :raises SystemExit: when it fails.
        """
        printed = ""
        for text in self.answers(self.send("execute_request", code=code, silent=False)):
            message = json.loads(text)
            if message["msg_type"] == "stream":
                printed += message["content"]["text"]
            if message["msg_type"] == "error":
                raise SystemExit(f"the cell failed: {message['content']['evalue']}")
            if message["content"].get("execution_state") == "idle":
                return printed

    def rate(self, count: int = 900) -> float:
        """Messages a second of a cell that sends so many: no more than ZeroMQ keeps for us."""
        code = STREAM.format(count=count)
        name, seen, began = self.send("execute_request", code=code, silent=False), 0, 0.0
        for text in self.answers(name):
            seen += '"line"' in text
            began = began or (time.perf_counter() if seen else 0.0)
            if seen == count:
                return (count - 1) / (time.perf_counter() - began)
            if "execute_reply" in text and '"ok"' not in text:
                raise SystemExit(f"the cell failed: {text[:500]}")
