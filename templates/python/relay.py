"""Carry whoever comes to a socket of root's to one of a user's, as that user, until input ends.

Usage: relay.py USER SOCKET     (root runs it on the server; it says where its own socket is)

Root by itself would follow a link of the user's to any socket. Who was carried through gets a `+`
first.
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
    """Pass on what comes until its end, and tell the end."""
    with contextlib.suppress(OSError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
        sink.write_eof()


async def carry(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    """Carry one connection in both directions."""
    with contextlib.suppress(OSError):
        far, there = await asyncio.open_unix_connection(target)
        back.write(b"+")
        await asyncio.gather(pour(near, there), pour(far, back))
        there.close()
    back.close()


async def serve(door: socket.socket) -> None:
    """Carry all who come, until standard input ends."""
    async with await asyncio.start_unix_server(carry, sock=door):
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


folder = tempfile.mkdtemp(prefix="jupyterlab-tunnel-", dir="/run")
door = socket.socket(socket.AF_UNIX)
door.bind(f"{folder}/door")
door.listen(128)
child = os.fork()
if child:  # root's part: to tidy up
    os.waitpid(child, 0)
    shutil.rmtree(folder)
    sys.exit()
theirs = pwd.getpwnam(user)
os.initgroups(user, theirs.pw_gid)
os.setresgid(*[theirs.pw_gid] * 3)
os.setresuid(*[theirs.pw_uid] * 3)
print(f"{folder}/door", flush=True)
asyncio.run(serve(door))
