"""Have a kernel compute 6*7 over its websocket, through Nginx: prints `42 SECONDS`."""

import json
import sys
import time
import uuid
from pathlib import Path

import websocket

port, domain, kernel, token_file = sys.argv[1:]
began = time.monotonic()
host = domain if port == "80" else f"{domain}:{port}"
wire = websocket.create_connection(
    f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels",
    host=host,
    origin=f"http://{host}",
    header=[f"Authorization: token {Path(token_file).read_text().strip()}"],
    timeout=20,
    http_no_proxy=["*"],
)
session = uuid.uuid4().hex
request = {
    "header": {"msg_id": session, "msg_type": "execute_request", "session": session,
               "username": "verify", "version": "5.3", "date": ""},
    "parent_header": {},
    "metadata": {},
    "channel": "shell",
    "content": {"code": "6*7", "silent": False, "store_history": False},
}  # fmt: skip
wire.send(json.dumps(request))
while True:
    message = json.loads(wire.recv())
    if message.get("parent_header", {}).get("msg_id") != session:
        continue
    if message["msg_type"] == "execute_result":
        print(message["content"]["data"]["text/plain"], f"{time.monotonic() - began:.3f}")
        break
    if message["msg_type"] == "error":
        print(message["content"]["evalue"])
        break
wire.close()
