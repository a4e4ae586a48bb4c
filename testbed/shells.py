"""Shells that stay open in containers: `docker exec` takes far longer than most scripts here."""

import atexit
import os
import re
import selectors
import subprocess
from secrets import token_hex


class Shell:
    """A root shell in a container; it runs one script after the other, each in a subshell.

    :param container: its name or id.
    """

    def __init__(self, container: str):
        self.mark = token_hex(16).encode()  # ends the output of a script
        self.process = subprocess.Popen(
            ["docker", "exec", "-i", container, "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as `sh -eu` would, without any input.

        If the shell ends meanwhile, such as with its container, the exit code is that of the shell.
        """
        mark = self.mark.decode()
        told = f"printf '\\n{mark} %s\\n' $?; printf '\\n{mark} 0\\n' >&2"
        self.process.stdin.write(f"(set -eu\n{script}\n) </dev/null\n{told}\n".encode())
        (out, code), (errors, _) = self.answers()
        if code is None:
            code = self.close()
        return subprocess.CompletedProcess("sh", code, out, errors)

    def answers(self) -> list[tuple[str, int | None]]:
        """Read both streams to their marks; return text and exit code of each, else None."""
        streams = [self.process.stdout, self.process.stderr]
        said, codes = {stream: bytearray() for stream in streams}, dict.fromkeys(streams)
        end = re.compile(rb"\n%s (\d+)\n$" % self.mark)
        with selectors.DefaultSelector() as waiting:
            for stream in streams:
                waiting.register(stream, selectors.EVENT_READ)
            while waiting.get_map():
                for key, _ in waiting.select():
                    stream = key.fileobj
                    chunk = os.read(key.fd, 65536)
                    said[stream] += chunk
                    if found := end.search(said[stream][-64:]):
                        codes[stream] = int(found[1])
                        del said[stream][-len(found[0]) :]
                    if found or not chunk:
                        waiting.unregister(stream)
        return [(said[stream].decode().replace("\r\n", "\n"), codes[stream]) for stream in streams]

    def close(self) -> int:
        """End the shell, and return its exit code."""
        self.process.communicate()
        return self.process.returncode


idle: dict[str, list[Shell]] = {}  # by container


def run(container: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as root in a container; scripts at the same time have a shell each."""
    shells = idle.setdefault(container, [])
    shell = shells.pop() if shells else Shell(container)
    if shell.process.poll() is not None:  # its container was restarted
        shell = Shell(container)
    done = shell.run(script)
    if shell.process.returncode is None:
        idle.setdefault(container, []).append(shell)
    return done


def close(*containers: str) -> None:
    """Close the shells of containers, which are about to end."""
    for container in containers:
        for shell in idle.pop(container, []):
            shell.close()


@atexit.register
def close_all() -> None:
    """Close every shell, as this process ends."""
    close(*list(idle))
