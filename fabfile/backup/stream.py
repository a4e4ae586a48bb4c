"""A stream of bytes from the server, with a last line that says how it ended and its checksum.

Both streams of a command come as one, on a terminal or not: so the line is told by its place, and
whatever else got in between shows in the checksum.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re

TAIL = 1 << 15  # more than the notes and the last line that follow an archive
LAST = re.compile(rb"\n@end (\d) ([0-9a-f]{64}) (\d{1,5})\n\Z")


class Receiver:
    """Takes what the server sends, to a file; knows at the end whether it came whole.

    :param room: how many bytes it takes at most; a server could send for ever.
    """

    def __init__(self, file, told, room: float = math.inf):
        self.file, self.told, self.room = file, told, room
        self.digest, self.rest = hashlib.sha256(), b""

    def __call__(self, chunk: bytes) -> None:
        """Take some bytes; the last ones stay back, for they may be no part of the archive."""
        self.rest += chunk
        if len(self.rest) > 2 * TAIL:
            self.keep(self.rest[:-TAIL])
            self.rest = self.rest[-TAIL:]

    def keep(self, data: bytes) -> None:
        """Write them."""
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.file.write(data)
        self.digest.update(data)
        self.told(len(data))

    def finish(self) -> tuple[str, list[str]]:
        """Write the end, and give the checksum and the server's notes.

        :raises ValueError: with the reason, when it did not come whole.
        """
        last = LAST.search(self.rest)
        if not last:
            words = self.rest[-400:].decode(errors="replace").splitlines() if not self.count else []
            raise ValueError(words[-1] if words else "the connection was cut")
        end = last.start() - int(last[3])
        if end < 0:
            raise ValueError("what came is not what was sent")
        notes = self.rest[end : last.start()].decode(errors="replace").splitlines()
        if last[1] != b"0":
            raise ValueError(notes[-1] if notes else "it was not written whole")
        self.keep(self.rest[:end])
        if self.digest.hexdigest() != last[2].decode():
            raise ValueError("what came is not what was sent")
        return self.digest.hexdigest(), notes

    @property
    def count(self) -> int:
        """How many bytes are in the file."""
        return self.file.tell()
