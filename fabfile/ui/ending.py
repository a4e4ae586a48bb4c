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

if sys.platform == "win32":
    sys.exit("Windows runs this within WSL: see `Your own machine` in docs/own-server.md")

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
        tell(type(problem), problem, problem.__traceback__)
        os._exit(1)


SETTINGS = {"_load_file", "_merge_file", "load_project", "load_runtime", "load_shell_env"}


def reason(problem: Exception) -> str:
    """Return why a run failed."""
    if isinstance(problem, Exit):
        return problem.message or f"exit {problem.code}"
    return explained(problem) or f"{type(problem).__name__}: {problem}"


def explained(problem: BaseException) -> str:
    """Return one line about an error outside of tasks; "" for a fault of this program.

    Invoke reads and merges the settings, Fabric reads ssh_config and makes a connection of -H.
    """
    frames = traceback.extract_tb(problem.__traceback__)
    names = {frame.name for frame in frames}
    making = {frame.name for frame in frames if frame.filename.endswith("fabric/connection.py")}
    if isinstance(problem, OSError) and problem.errno == errno.ENOSPC and not problem.filename:
        return f"the output cannot be written: {problem.strerror}"
    if isinstance(problem, FileNotFoundError) and "_load_ssh_files" in names:
        return f"-S {problem.filename}: no such file"
    if isinstance(problem, AttributeError) and "list_tasks" in names:
        return "--list-format takes flat, nested or json"
    if "derive_shorthand" in making or ("__init__" in making and isinstance(problem, TypeError)):
        return "-H: not a host; write it as david@1.1.1.1"
    if "__init__" in making and isinstance(problem, ValueError):
        return f"your ssh_config: Port and ConnectTimeout take a number: {problem}"
    if isinstance(problem, Exception) and names & SETTINGS:
        return f"fabric.yaml, or the file after -f, cannot be used: {unusable(problem)}"
    return ""


def unusable(problem: Exception) -> str:
    """Return why Invoke could not read or merge its settings files."""
    if type(problem).__name__ == "AmbiguousMergeError":
        return "a group such as `lab:` needs indented lines below it, a value must have none"
    if type(problem).__name__ == "UncastableEnvVar":
        return "it and the environment set the same list: remove one of them"
    if hasattr(problem, "problem_mark"):
        mark = problem.problem_mark
        return f"{mark.name}, line {mark.line + 1}: {problem.problem}"
    return str(problem).splitlines()[0]


def tell(kind, problem, trace) -> None:
    """Print one line about an error that nobody handled; of a fault of this program all."""
    if isinstance(problem, BrokenPipeError):
        end_unheard()
    elif why := explained(problem):
        print(why, file=sys.stderr)
    else:
        sys.__excepthook__(kind, problem, trace)


Fab.update_config = stoppable(Fab.update_config)  # asks for passwords
Fab.execute = stoppable(Fab.execute)
sys.excepthook = tell
atexit.register(flush)
