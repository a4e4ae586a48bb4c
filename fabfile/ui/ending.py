"""How a run ends where no task can say it: the exit code, and one line instead of a traceback.

docs/scripting.md has the table of exit codes. The methods of Fabric's program that run after this
file is loaded are replaced here, as is Python's way to show an error that nobody handles.
"""

import atexit
import errno
import functools
import os
import signal
import sys
import traceback

from fabric.main import Fab
from invoke import Exit

asked = signal.SIGINT  # the signal that ended the run, if one did


def code() -> int:
    """Return the exit code of a run that was stopped: 130 by Ctrl-C, 143 by SIGTERM."""
    return 128 + asked


def stop(number: int, frame) -> None:
    """Stop as after Ctrl-C, so that SIGTERM leaves nothing half-written either."""
    global asked
    asked = signal.Signals(number)
    raise KeyboardInterrupt


def stoppable(method):
    """Return the method with a clean end after Ctrl-C, SIGTERM, or a prompt without an answer."""

    @functools.wraps(method)
    def in_one_line(program):
        signal.signal(signal.SIGTERM, stop)
        try:
            method(program)
        except KeyboardInterrupt:
            raise Exit("\nstopped: nothing was changed", code()) from None
        except EOFError:
            raise Exit("there is no terminal to ask for that on") from None
        except Exit as end:
            if end.code == 128 + signal.SIGINT:
                raise Exit(end.message, code()) from None
            raise

    return in_one_line


def end_unheard() -> None:
    """End by SIGPIPE, as other programs do whose reader is gone: `fab --list | head -n 1`."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


def flush() -> None:
    """Write what is left of the output: Python itself would complain, and exit with 120."""
    try:
        sys.stdout.flush()
    except OSError as problem:
        tell(type(problem), problem, None)
        os._exit(1)


def read_by_invoke(trace) -> bool:
    """Check whether the error arose while Invoke read or merged its settings files."""
    readers = {"_load_file", "_merge_file", "load_project", "load_runtime", "load_shell_env"}
    return any(frame.name in readers for frame in traceback.extract_tb(trace))


def not_a_host(kind, trace) -> bool:
    """Check whether Fabric could not make a connection from the value of -H."""
    frames = [f.name for f in traceback.extract_tb(trace) if f.filename.endswith("connection.py")]
    within = "__init__" if issubclass(kind, TypeError) else "derive_shorthand"
    return issubclass(kind, TypeError | ValueError) and within in frames


def tell(kind, problem, trace) -> None:
    """Print one line about such an error; show any other one as usual."""
    if issubclass(kind, BrokenPipeError):
        end_unheard()
    if issubclass(kind, OSError) and problem.errno == errno.ENOSPC:
        print(f"the output cannot be written: {problem.strerror}", file=sys.stderr)
        return
    if not_a_host(kind, trace):
        print("-H: not a host; write it as david@1.1.1.1", file=sys.stderr)
        return
    if not issubclass(kind, Exception) or not read_by_invoke(trace):
        sys.__excepthook__(kind, problem, trace)
        return
    if kind.__name__ == "AmbiguousMergeError":
        reason = "a group such as `lab:` needs indented lines below it, a value must have none"
    elif kind.__name__ == "UncastableEnvVar":
        reason = "it and the environment set the same list: remove one of them"
    elif hasattr(problem, "problem_mark"):
        mark = problem.problem_mark
        reason = f"{mark.name}, line {mark.line + 1}: {problem.problem}"
    else:
        reason = str(problem).splitlines()[0]
    print(f"fabric.yaml, or the file after -f, cannot be used: {reason}", file=sys.stderr)


Fab.update_config = stoppable(Fab.update_config)  # asks for passwords
Fab.execute = stoppable(Fab.execute)
sys.excepthook = tell
atexit.register(flush)
