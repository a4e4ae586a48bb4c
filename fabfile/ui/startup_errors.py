"""Errors in settings that Fabric cannot read: one line instead of a traceback."""

import sys
import traceback


def read_by_invoke(trace) -> bool:
    """Check whether the error arose while Invoke read or merged its settings files."""
    readers = {"_load_file", "_merge_file", "load_project", "load_runtime", "load_shell_env"}
    return any(frame.name in readers for frame in traceback.extract_tb(trace))


def within_connection(trace) -> bool:
    """Check whether Fabric could not make a connection from the value of -H."""
    frames = traceback.extract_tb(trace)
    return any(f.name == "__init__" and f.filename.endswith("connection.py") for f in frames)


def tell(kind, problem, trace) -> None:
    """Print one line about such an error; show any other one as usual."""
    if issubclass(kind, TypeError) and within_connection(trace):
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


sys.excepthook = tell
