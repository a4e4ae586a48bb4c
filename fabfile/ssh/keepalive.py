"""Signs of life for what runs on a server as long as somebody listens here."""

from __future__ import annotations

import contextlib
import select
import threading
import time


def begin(channel, seconds: float) -> None:
    """Send a line end every so many seconds, until the channel is closed."""
    threading.Thread(target=beat, args=(channel, seconds), daemon=True).start()


def beat(channel, seconds: float) -> None:
    """Send a sign of life now and then; close when nobody reads our own output any more."""
    with contextlib.suppress(OSError):
        while not channel.closed:
            channel.sendall(b"\n")
            end = time.monotonic() + seconds
            while not channel.closed and time.monotonic() < end:
                if not heard():
                    channel.close()
                time.sleep(0.5)


def heard() -> bool:
    """Whether somebody may still read our output: not so when it is a pipe that was closed."""
    watched = select.poll()
    watched.register(1, 0)
    return not watched.poll(0)
