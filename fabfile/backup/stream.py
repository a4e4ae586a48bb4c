"""A stream of bytes from the server; its last line has the exit code and the checksum.

A command's output and errors arrive as one stream. So the last line is found by its place, and the
checksum reveals other output in between.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re

TAIL = 1 << 15  # bytes, more than the notes and the last line after an archive
LAST = re.compile(rb"\n@end (\d) ([0-9a-f]{64}) (\d{1,5})\n\Z")


class Receiver:
    """A writer of what the server sends, which knows at the end whether all of it arrived.

    :param room: bytes that it accepts at most: a server could send without end.
    """

    def __init__(self, file, told, room: float = math.inf):
        self.file, self.told, self.room = file, told, room
        self.digest, self.rest = hashlib.sha256(), b""

    def __call__(self, chunk: bytes) -> None:
        """Take some bytes; hold back the last ones, which may not belong to the archive."""
        self.rest += chunk
        if len(self.rest) > 2 * TAIL:
            self.keep(self.rest[:-TAIL])
            self.rest = self.rest[-TAIL:]

    def keep(self, data: bytes) -> None:
        """Write bytes to the file."""
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.file.write(data)
        self.digest.update(data)
        self.told(len(data))

    def finish(self) -> tuple[str, list[str]]:
        """Write the end; return the checksum and the server's notes.

        :raises ValueError: with the reason, when not all arrived.
        """
        last = LAST.search(self.rest)
        if not last:
            words = self.rest[-400:].decode(errors="replace").splitlines() if not self.count else []
            raise ValueError(words[-1] if words else "the connection was cut")
        end = last.start() - int(last[3])
        if end < 0:
            raise ValueError("the backup was damaged on the way")
        notes = self.rest[end : last.start()].decode(errors="replace").splitlines()
        if last[1] != b"0":
            raise ValueError(notes[-1] if notes else "the server did not write all of it")
        self.keep(self.rest[:end])
        if self.digest.hexdigest() != last[2].decode():
            raise ValueError("the backup was damaged on the way")
        return self.digest.hexdigest(), notes

    @property
    def count(self) -> int:
        """Number of bytes in the file."""
        return self.file.tell()
