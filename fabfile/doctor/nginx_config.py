"""Find the location that serves a request in the output of `nginx -T`, as Nginx does. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatch

from ..engine.listening import addresses, parsed

TOKEN = re.compile(
    r"""\#\ configuration\ file\ (?P<file>\S+):\n | \#[^\n]* | (?P<sign>[{};])
    | "(?P<double>(?:\\.|[^"\\])*)" | '(?P<single>(?:\\.|[^'\\])*)'
    | (?P<word>(?:\$\{\w*\}|[^\s{};])+)
    """,
    re.VERBOSE,
)
UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}
SECONDS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass
class Directive:
    """A directive of a configuration, simple or with a block."""

    words: list[str]
    file: str = ""
    block: list[Directive] = field(default_factory=list)


@dataclass(frozen=True)
class Site:
    """A site of Nginx, as it serves one path of one name.

    :param files: the files with a server block of this name; Nginx uses only the first block.
    :param proxied: True if requests are passed on (`proxy_pass`).
    :param headers: `proxy_set_header`: name in lower case -> value.
    :param body: `client_max_body_size` in bytes; :param timeout: `proxy_read_timeout` in seconds.
    """

    files: tuple[str, ...] = ()
    proxied: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    version: str = "1.0"
    body: int = 2**20
    timeout: float = 60.0


def parse(text: str) -> dict[str, list[Directive]]:
    """Parse what `nginx -T` printed: file -> its directives."""
    files: dict[str, list[Directive]] = {}
    file, words, open_blocks = "", [], [files.setdefault("", [])]
    for found in TOKEN.finditer(text):
        kind = found.lastgroup
        if kind == "file":
            file = found["file"]
            open_blocks, words = [files.setdefault(file, [])], []
        elif kind == "sign":
            sign = found["sign"]
            if words:
                open_blocks[-1].append(Directive(words, file))
            if sign == "{" and words:
                open_blocks.append(open_blocks[-1][-1].block)
            elif sign == "}" and len(open_blocks) > 1:
                open_blocks.pop()
            words = []
        elif kind:
            words.append(found[kind])
    return files


def lines(files: dict[str, list[Directive]], block: list[Directive]):
    """Yield the directives of a block; an `include` is replaced by the directives of its files."""
    for one in block:
        if one.words[0] != "include" or len(one.words) < 2:
            yield one
            continue
        pattern = one.words[1] if one.words[1].startswith("/") else f"/etc/nginx/{one.words[1]}"
        for file in (name for name in files if name and fnmatch(name, pattern)):
            yield from lines(files, files[file])


def site(text: str, domain: str, port: int, path: str) -> Site:
    """Return how Nginx serves a path of a name on a port.

    :param text: what `nginx -T` printed.
    :returns: a Site without files if no server block has this name.
    """
    files = parse(text)
    http, places, servers = blocks_of(files)
    ours = [n for n, block in enumerate(servers) if named(block, domain) and listens(block, port)]
    if not ours:
        return Site()
    server = servers[ours[0]]
    location = located(files, server, path)
    levels = [location, server, http]
    headers = next(filter(None, (of(level, "proxy_set_header") for level in levels)), [])

    def first(name: str, otherwise: str) -> str:
        found = (of(level, name) for level in levels)
        return next((words[-1][0] for words in found if words), otherwise)

    return Site(
        files=tuple(dict.fromkeys(places[n] for n in ours)),
        proxied=bool(of(location, "proxy_pass")),
        headers={words[0].lower(): " ".join(words[1:]) for words in headers if words},
        version=first("proxy_http_version", "1.0"),
        body=bytes_of(first("client_max_body_size", "1m")),
        timeout=span(first("proxy_read_timeout", "60")),
    )


def blocks_of(files) -> tuple[list[Directive], list[str], list[list[Directive]]]:
    """Return the directives of `http`, and of each server block in it the file and directives."""
    main = next(iter(name for name in files if name), "")
    whole = [one for one in lines(files, files[main]) if one.words[0] == "http"]
    http = list(lines(files, whole[0].block)) if whole else []
    found = [one for one in http if one.words == ["server"]]
    return http, [one.file for one in found], [list(lines(files, one.block)) for one in found]


def apart(text: str, enabled: str, port: int) -> str:
    """Return which `listen` of another site ours does not fit, or "".

    :param text: what `nginx -T` printed; :param enabled: the file of our site.
    """
    _, places, servers = blocks_of(parse(text))
    rows = [
        (place == enabled, one)
        for place, server in zip(places, servers, strict=True)
        for one in (parsed(place, words) for words in of(server, "listen"))
        if one and port in one.ports and (place == enabled or "/zz-jupyterlab" not in place)
    ]
    ours = {one.written for is_ours, one in rows if is_ours}
    others = tuple(one for is_ours, one in rows if not is_ours)
    wanted = set(addresses(others, port))
    unlike = (wanted ^ ours) - {f"[::]:{port}"}  # the host may have no IPv6
    odd = [one for one in others if not one.entire or "ipv6only=off" in one.options]
    if not ours or not unlike:
        return ""
    why = f"{odd[0]}; " if odd else ""
    return f"{why}our site listens at {', '.join(sorted(ours))} instead of " + ", ".join(
        sorted(wanted)
    )


def of(block: list[Directive], name: str) -> list[list[str]]:
    """Return the arguments of each directive of this name."""
    return [one.words[1:] for one in block if one.words[0] == name and one.words[1:]]


def named(server: list[Directive], domain: str) -> bool:
    """Check whether a server block has this name; of patterns only `*.` and our own count."""
    given = {word.lower() for words in of(server, "server_name") for word in words}
    name, above = domain.lower(), domain.lower().partition(".")[2]
    ours = f"~^{re.escape(name)}$"
    return not {name, f"*.{above}", f".{above}", f".{name}", ours}.isdisjoint(given)


def listens(server: list[Directive], port: int) -> bool:
    """Check whether a server block listens on a port; without `listen` it is 80."""
    given = of(server, "listen") or [["80"]]
    return any(one and port in one.ports for one in (parsed("", words) for words in given))


def located(files, server: list[Directive], path: str) -> list[Directive]:
    """Return the directives of the location of a path.

    The order is that of Nginx: exact match, `^~` prefix, regular expression, longest prefix.
    """
    blocks = [one for one in server if one.words[0] == "location"]
    prefix, best = "", None
    for one in blocks:
        how, what = (one.words[1], one.words[2]) if len(one.words) > 2 else ("", one.words[1])
        if how == "=" and what == path:
            return list(lines(files, one.block))
        if how in ("", "^~") and path.startswith(what) and len(what) >= len(prefix):
            prefix, best = what, one
    if best is None or best.words[1] != "^~":
        for one in blocks:
            if one.words[1] in ("~", "~*") and matches(one.words[2], path, one.words[1] == "~*"):
                return list(lines(files, one.block))
    return list(lines(files, best.block)) if best else []


def matches(pattern: str, path: str, small: bool) -> bool:
    """Check whether a pattern matches a path; one that Python cannot compile does not.

    :param small: ignore upper and lower case.
    """
    try:
        return bool(re.search(pattern, path, re.IGNORECASE if small else 0))
    except re.error:
        return False


def bytes_of(text: str) -> int:
    """Return the bytes of a size such as `64m`; 2**63 for 0, which means no limit."""
    number, unit = re.fullmatch(r"(\d*)(\w?)", text.lower()).groups() if text else ("", "")
    return int(number or 0) * UNITS.get(unit, 1) or 2**63


def span(text: str) -> float:
    """Return the seconds of a time such as `1h 30m` or `60`."""
    parts = re.findall(r"(\d+)(ms|[smhdw]?)", text.lower())
    return sum(int(number) * SECONDS[unit] for number, unit in parts)
