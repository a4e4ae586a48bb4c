"""Format what collect.whole() returns as the lines of `status`."""

from __future__ import annotations

from datetime import datetime

from rich.filesize import decimal

from ..items.packages import with_versions
from ..ui.command import FAB
from .collect import DEBIAN, newer


def lines(told: dict, asked: bool = True) -> list[tuple[str, str]]:
    """Return a name and a text for each line, in order.

    :param told: what collect.whole() returned.
    :param asked: whether the package index was asked for newer versions.
    """
    where, now = f"{FAB} -H {told['host']}", seconds(told["now"])
    rows = [("service", service(told, where, now))]
    rows += versions(told, where, asked)
    if told["server"]:
        rows.append(("server", used(told["server"])))
    rows += [("kernel", kernel(one, now)) for one in told["kernels"] or []]
    if told["kernels"] == []:
        rows.append(("kernel", "none running"))
    if told["terminals"]:
        rows.append(("terminal", f"{told['terminals']} open"))
    rows.append(("nginx", nginx(told, where, now)))
    if told["certificate"]:
        one = told["certificate"]
        warning = f"; {one['warning']}" if one["warning"] else ""
        rows.append(("tls", f"issued by {one['issuer']}, {one['days_left']} days left{warning}"))
    if told["disk"]:
        disk = told["disk"]
        free, total = (decimal(disk[name]) for name in ("free", "total"))
        rows.append(("disk", f"{free} free of {total}, on {disk['path']}"))
    rows.append(("url", told["url"]))
    return rows


def service(told: dict, where: str, now: float) -> str:
    """Describe JupyterLab's unit: state, since when, and use; if it is down, the command to run."""
    one = told["service"]
    if one["state"] == "absent":
        return f"not set up yet: {where} full"
    since = f" since {moment(one['since'], now)}" if one["since"] else ""
    if one["state"] == "asleep":
        return f"asleep{since}: the next request wakes it"
    if one["state"] != "active":
        word = "stopped" if one["state"] == "inactive" else one["state"]
        return f"{word}{since}; {where} start"
    parts = [f"active{since}"]
    if one["memory"] is not None:
        limit = f" of {decimal(one['memory_limit'])}" if one["memory_limit"] else ""
        parts.append(f"memory: {decimal(one['memory'])}{limit} (with caches)")
    if one["cpu"] is not None:
        parts.append(cpu(one["cpu"]))
    if told["kernels"] is None:
        parts.append("it does not answer, or has another token")
    return "; ".join(parts)


def versions(told: dict, where: str, asked: bool) -> list[tuple[str, str]]:
    """Return the lines on what is installed, what is newer, and what is insecure."""
    there = {name: version for name, version in told["versions"].items() if version}
    debian = {name: there.pop(name) for name in DEBIAN if name in there}
    rows = [("deps", with_versions(debian, debian))] if debian else []
    if told["former_python"]:
        text = f"the venv was made with {told['former_python']}, which is gone: {where} full"
        return [*rows, ("jupyter", text)]
    if not there:
        return [*rows, ("jupyter", f"not installed: {where} full")]
    rows.append(("jupyter", with_versions(there, there)))
    found = newer(there, told["newest"])
    if asked and None in told["newest"].values():
        rows.append(("newer", "unknown: the package index did not answer"))
    elif asked:
        rows.append(("newer", with_versions(found, found) or "none"))
    rows += [("insecure", sentence) for sentence in told["holes"]]
    return rows


def kernel(one: dict, now: float) -> str:
    """Describe a kernel: notebook, state, since when, and use."""
    name = one["notebook"] or one["name"]
    since = f" for {ago(now - seconds(one['since']))}" if one["since"] else ""
    return f"{name}: {one['state'] or 'unknown'}{since}, {used(one)}"


def nginx(told: dict, where: str, now: float) -> str:
    """Describe Nginx: version, state, since when; if it is down, the command to run."""
    one = told["nginx"]
    if one["state"] == "absent":
        return f"not set up yet: {where} full"
    version = one["version"] or "of unknown version"
    since = f" since {moment(one['since'], now)}" if one["since"] else ""
    again = "" if one["state"] == "active" else f"; {where} nginx"
    return f"nginx {version}, {one['state']}{since}{again}"


def used(one: dict) -> str:
    """Format the memory and CPU use of some processes."""
    return f"{decimal(one['memory'])}, {cpu(one['cpu'])}"


def cpu(percent: float) -> str:
    """Format CPU use in percent of one processor; 200 are two processors."""
    return f"{percent:.0f} % of one processor"


def moment(text: str, now: float) -> str:
    """Format a time in ISO 8601, and how long ago it is."""
    return f"{text[:16].replace('T', ' ')} UTC ({ago(now - seconds(text))})"


def seconds(text: str) -> float:
    """Return the seconds since 1970 of a time in ISO 8601."""
    return datetime.fromisoformat(text).timestamp()


def ago(passed: float) -> str:
    """Format seconds in the largest unit, with the next smaller one if it is not 0."""
    passed = max(int(passed), 0)
    for unit, length, part, share in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "", 1),
    ):
        if passed >= length:
            rest = passed % length // share
            return f"{passed // length} {unit}" + (f" {rest} {part}" if part and rest else "")
    return f"{passed} s"
