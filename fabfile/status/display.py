"""The lines of `status`: what live.whole() gives, for eyes."""

from __future__ import annotations

from datetime import datetime

from .collect import DEBIAN, newer

MB = 1e6


def lines(told: dict, asked: bool = True) -> list[tuple[str, str]]:
    """Give a name and a text for each line, in order.

    :param told: what live.whole() gives.
    :param asked: whether the package index was asked.
    """
    where, now = f"fab -H {told['host']}", seconds(told["now"])
    rows = [("service", service(told, where, now))]
    rows += versions(told, where, asked)
    if told["server"]:
        rows.append(("server", used(told["server"])))
    rows += [("kernel", kernel(one, now)) for one in told["kernels"] or []]
    if told["kernels"] == []:
        rows.append(("kernel", "none runs"))
    if told["terminals"]:
        rows.append(("terminal", f"{told['terminals']} open"))
    rows.append(("nginx", nginx(told, where, now)))
    if told["certificate"]:
        one = told["certificate"]
        rows.append(("tls", f"by {one['issuer']}, {one['days_left']} days left"))
    if told["disk"]:
        disk = told["disk"]
        free, total = (size(disk[name]) for name in ("free", "total"))
        rows.append(("disk", f"{free} free of {total}, at {disk['path']}"))
    rows.append(("url", told["url"]))
    return rows


def service(told: dict, where: str, now: float) -> str:
    """How the unit is, since when, and what all in it use; else what to run."""
    one = told["service"]
    if one["state"] == "absent":
        return f"not there yet: {where} full"
    since = f" since {moment(one['since'], now)}" if one["since"] else ""
    if one["state"] == "asleep":
        return f"asleep{since}: the next request wakes it"
    if one["state"] != "active":
        word = "stopped" if one["state"] == "inactive" else one["state"]
        return f"{word}{since}; {where} start"
    parts = [f"active{since}"]
    if one["memory"] is not None:
        limit = f" of at most {size(one['memory_limit'])}" if one["memory_limit"] else ""
        parts.append(f"in all {size(one['memory'])}{limit}, caches included")
    if one["cpu"] is not None:
        parts.append(cpu(one["cpu"]))
    if told["kernels"] is None:
        parts.append("it does not answer, or with another token")
    return "; ".join(parts)


def versions(told: dict, where: str, asked: bool) -> list[tuple[str, str]]:
    """What is installed, what is newer, what must not stay."""
    there = {name: version for name, version in told["versions"].items() if version}
    debian = {name: there.pop(name) for name in DEBIAN if name in there}
    rows = [("deps", listed(debian))] if debian else []
    if not there:
        return [*rows, ("jupyter", f"not installed: {where} full")]
    rows.append(("jupyter", listed(there)))
    found = newer(there, told["newest"])
    if asked and None in told["newest"].values():
        rows.append(("newer", "unknown: the package index did not answer"))
    elif asked:
        rows.append(("newer", listed(found) or "none"))
    rows += [("hole", sentence) for sentence in told["holes"]]
    return rows


def listed(found: dict[str, str]) -> str:
    """Names with their versions."""
    return ", ".join(f"{name} {version}" for name, version in found.items())


def kernel(one: dict, now: float) -> str:
    """Whose it is, what it does, since when, and what it uses."""
    name = one["notebook"] or one["name"]
    since = f" for {ago(now - seconds(one['since']))}" if one["since"] else ""
    return f"{name}: {one['state'] or 'unknown'}{since}, {used(one)}"


def nginx(told: dict, where: str, now: float) -> str:
    """How Nginx is, and which."""
    one = told["nginx"]
    if one["state"] == "absent":
        return f"not there yet: {where} full"
    version = one["version"] or "of unknown version"
    since = f" since {moment(one['since'], now)}" if one["since"] else ""
    again = "" if one["state"] == "active" else f"; {where} nginx"
    return f"nginx {version}, {one['state']}{since}{again}"


def used(one: dict) -> str:
    """Memory, and the use of a processor."""
    return f"{size(one['memory'])}, {cpu(one['cpu'])}"


def cpu(percent: float) -> str:
    """Percent of one processor; 200 are two."""
    return f"{percent:.0f} % of one processor"


def size(number: int) -> str:
    """Bytes in words, as disks are sold: 1 GB is 1000 MB."""
    return f"{number / MB:.0f} MB" if number < 10_000 * MB else f"{number / MB / 1000:.1f} GB"


def moment(text: str, now: float) -> str:
    """A moment, and how long ago that is."""
    return f"{text[:16].replace('T', ' ')} UTC ({ago(now - seconds(text))})"


def seconds(text: str) -> float:
    """Seconds since 1970 of a moment in ISO 8601."""
    return datetime.fromisoformat(text).timestamp()


def ago(passed: float) -> str:
    """A span of time in its largest unit, or two."""
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
