"""Relay connections from a socket of root to a user's SOCKET, as that user, until the input ends.

Usage: relay.py USER SOCKET     (root runs it on the server; it prints the path of its own socket)

Root itself would follow the user's symbolic link to any socket. A connection that was relayed gets
a `+` first.
"""

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import sys
import tempfile

user, target = sys.argv[1:]


async def pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy a stream until its end, and pass the end on."""
    with contextlib.suppress(OSError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
        sink.write_eof()


async def carry(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    """Relay one connection in both directions."""
    with contextlib.suppress(OSError):
        far, there = await asyncio.open_unix_connection(target)
        back.write(b"+")
        await asyncio.gather(pour(near, there), pour(far, back))
        there.close()
    back.close()


async def serve(listener: socket.socket) -> None:
    """Relay all connections until standard input ends."""
    async with await asyncio.start_unix_server(carry, sock=listener):
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


folder = tempfile.mkdtemp(prefix="jupyterlab-tunnel-", dir="/run")
listener = socket.socket(socket.AF_UNIX)
listener.bind(f"{folder}/socket")
listener.listen(128)
child = os.fork()
if child:  # root only cleans up
    os.waitpid(child, 0)
    shutil.rmtree(folder)
    sys.exit()
theirs = pwd.getpwnam(user)
os.initgroups(user, theirs.pw_gid)
os.setresgid(*[theirs.pw_gid] * 3)
os.setresuid(*[theirs.pw_uid] * 3)
print(f"{folder}/socket", flush=True)
asyncio.run(serve(listener))
