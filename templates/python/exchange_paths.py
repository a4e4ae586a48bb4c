"""Exchange two paths in one step, so that both exist at any time.

Usage: exchange_paths.py PATH PATH     (runs on the server, as the user; renameat2(2), Linux 3.15)
"""

import ctypes
import errno
import os
import sys

HERE, EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


def main(one: str, other: str) -> int:
    """Exchange them, in three steps if the file system cannot do it in one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE):
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(code, os.strerror(code), one)
        print(f"{one}: {os.strerror(code)}; exchanging in three steps instead")
        os.rename(one, f"{one}.leaving")
        os.rename(other, one)
        os.rename(f"{one}.leaving", other)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
