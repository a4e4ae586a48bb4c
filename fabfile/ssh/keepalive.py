"""Keepalives for a command on the server that must end when nobody reads its output here."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time


def begin(channel, seconds: float) -> None:
    """Send a line end now and every `seconds`, in a thread, until the channel is closed."""
    threading.Thread(target=beat, args=(channel, seconds), daemon=True).start()


def beat(channel, seconds: float) -> None:
    """Send the line ends; close the channel when nobody reads our own output any more."""
    with contextlib.suppress(OSError):
        while not channel.closed:
            channel.sendall(b"\n")
            end = time.monotonic() + seconds
            while not channel.closed and time.monotonic() < end:
                if not heard():
                    channel.close()
                time.sleep(0.5)


def heard() -> bool:
    """Check whether our output can still be read: not when it is a closed pipe."""
    if os.isatty(1) or not hasattr(select, "poll"):  # macOS: no poll() of a terminal, or none
        return True
    watched = select.poll()
    watched.register(1, select.POLLOUT)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in watched.poll(0))
