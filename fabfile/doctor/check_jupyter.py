"""Proofs that the server or JupyterLab is faulty; each function returns one, or "". No I/O."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from rich.filesize import decimal

from ..status.display import ago
from .evidence import Evidence

APART = 60  # seconds that the two clocks may differ


# --- the server ------------------------------------------------------------------------------


def no_root(e: Evidence) -> str:
    return e.refused


def absent(e: Evidence) -> str:
    if e.jupyter("LoadState") != "not-found":
        return ""
    last = "".join(e.lines("turn")[:1])
    stopped = f"; the last run did not finish: {last}" if last and ", done" not in last else ""
    return f"there is no {e.jupyters}{stopped}"


def full(e: Evidence) -> str:
    return next((f"{d.path} has {decimal(d.free)} free of {decimal(d.size)}{e.biggest(d.path)}"
                 for d in e.disks if d.full), "")  # fmt: skip


def no_inodes(e: Evidence) -> str:
    found = (d for d in e.disks if d.inodes and d.inodes_free < 100)
    return next((f"{d.path} has {d.inodes_free} of {d.inodes} inodes free" for d in found), "")


def low(e: Evidence) -> str:
    return next((f"{d.path} has {decimal(d.free)} and {d.inodes_free} inodes free"
                 f"{e.biggest(d.path)}" for d in e.disks if d.low), "")  # fmt: skip


def clock(e: Evidence) -> str:
    if abs(e.offset) < APART:
        return ""
    asks = "; the server uses no NTP" if "NTP=no" in e.lines("ntp") else ""
    which = "ahead of" if e.offset > 0 else "behind"
    return f"the server's is {ago(round(abs(e.offset) / 60) * 60)} {which} this machine's{asks}"


# --- JupyterLab ------------------------------------------------------------------------------


def state(e: Evidence) -> str:
    return e.jupyter("ActiveState")


def masked(e: Evidence) -> str:
    return f"{e.jupyters} is masked" if e.jupyter("LoadState") == "masked" else ""


def stopped(e: Evidence) -> str:
    if state(e) != "inactive" or e.asleep or absent(e) or masked(e):
        return ""
    how = e.jupyter("UnitFileState") or "there"
    return f"{e.jupyters} is {how}{' and' if how == 'disabled' else ', but'} inactive"


def ends(e: Evidence) -> str:
    """Say how JupyterLab dies; "" if it runs, sleeps or was stopped."""
    silent = e.failed is not None and e.failed[0].startswith("answers")
    often = silent and e.jupyter("NRestarts") not in ("", "0")  # seen between two restarts
    again = often or e.jupyter("SubState") == "auto-restart"
    return "failed" if state(e) == "failed" else "keeps exiting and is restarted" if again else ""


def other_python(e: Evidence) -> str:
    paths = [PurePosixPath(line) for line in e.lines("venv")]
    made = [path.parts[-3] for path in paths if "site-packages" in path.parts]
    runs = next((path.name for path in paths if "site-packages" not in path.parts), "")
    if not made or runs in made or (runs and not re.fullmatch(r"(python|pypy)3\.\d+\w*", runs)):
        return ""
    return (
        f"its packages are of {made[0]}{f'; the server has {runs}' if runs else ', which is gone'}"
    )


def no_program(e: Evidence) -> str:
    # systemd clears the status when it restarts the unit; the journal keeps the error
    broken = e.jupyter("ExecMainStatus") == "203" or "Failed at step EXEC" in e.last_words
    told = f"{e.jupyters}: {e.last_words or 'its program cannot be started'}"
    return told if broken and ends(e) else ""


def no_memory(e: Evidence) -> str:
    how = ends(e) and e.jupyter("Result") == "oom-kill"
    return f"{e.jupyters} {ends(e)}: killed by the Linux kernel" if how else ""


def crashing(e: Evidence) -> str:
    told = f"{e.jupyters} {ends(e)}: {e.last_words or e.jupyter('Result')}"
    more = f" (it also reads {others(e)})" if others(e) else ""
    return told + more if ends(e) else ""


def others(e: Evidence) -> str:
    """Return the paths of configuration files that are not ours."""
    return ", ".join(e.lines("configuration"))


def overruled(e: Evidence) -> str:
    settings = "".join(e.lines("overruled"))
    where = others(e) or "~/.jupyter/jupyter_server_config.json"  # which holds the password, too
    return f"{settings} of {where}" if settings else ""


def killed_lately(e: Evidence) -> str:
    return next(iter(e.lines("memory")), "")


def permissions(e: Evidence, rights: str) -> tuple[str, str]:
    """Return permissions and owners of the socket or of its folder, and the path.

    :param rights: the type as `ls` writes it: `s` for the socket, `d` for the folder.
    """
    rows = [r.split(None, 2) for r in e.lines("socket") if r.startswith(rights)]
    return (f"{rows[0][0]} {rows[0][1]}", rows[0][2]) if rows else ("", "")


def shut(e: Evidence) -> str:
    """Return Nginx's user if it cannot open a running JupyterLab's socket (curl exits with 7)."""
    row = next((r.split() for r in e.lines("socket") if r.startswith("nginx ")), None)
    return row[1] if row and row[2] == "7" and state(e) == "active" else ""


def shut_folder(e: Evidence) -> str:
    rights, path = permissions(e, "d")
    well = rights[4:7] in ("r-s", "r-x", "rws", "rwx", "--x", "--s") and rights.endswith(
        ":www-data"
    )
    return f"Nginx ({shut(e)}) cannot enter {path}: {rights}" if shut(e) and not well else ""


def shut_socket(e: Evidence) -> str:
    rights, path = permissions(e, "s")
    return f"Nginx ({shut(e)}) cannot open {path}: {rights}" if shut(e) and rights else ""
