"""An operator at a terminal, who sees questions and types answers."""

import os
import pty
import select
import signal
import time
from subprocess import CompletedProcess

SECONDS = 120
CTRL_C = "\x03"  # typed alone, without the Enter key


def converse(start, answers: dict[str, str], seconds: int = SECONDS) -> CompletedProcess[str]:
    """Run a program on a terminal of its own and answer what it asks.

    :param start: a function that starts it, given `stdin`, `out` and `errors`.
    :param answers: the end of a question -> what is typed then, once each.
    :param seconds: how long it may take.
    """
    ours, theirs = pty.openpty()
    running = start(stdin=theirs, out=theirs, errors=theirs)
    os.close(theirs)
    seen, answers, deadline = "", dict(answers), time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # the other end is closed: Linux says EIO
                break
            seen += chunk.decode(errors="replace")
            for question in [q for q in answers if seen.rstrip().endswith(q)]:
                if (typed := answers.pop(question)) == CTRL_C:
                    time.sleep(0.5)  # Python prints a question a moment before it waits
                    running.send_signal(signal.SIGINT)  # as the terminal does
                else:
                    os.write(ours, f"{typed}\n".encode())
        else:
            running.kill()
            raise AssertionError(f"still there after {seconds} s, having said: {seen}")
        return CompletedProcess(running.args, running.wait(SECONDS), "", seen)
    finally:
        os.close(ours)
        running.wait()
