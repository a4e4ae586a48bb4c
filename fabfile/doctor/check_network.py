"""Proofs that people cannot reach the server; each function returns one, or "". No I/O."""

from __future__ import annotations

from .evidence import Arrival, Evidence
from .probe import PIECE, Probe


def there(probe: Probe) -> str:
    """Return the address of a host that answered, with the name of its server program."""
    return f"{probe.address} ({probe.server})" if probe.server else probe.address


def banned(e: Evidence) -> str:
    told = " ".join(e.lines("banned"))
    return f"{told}; {closed(e)}" if told and closed(e) else ""


def closed(e: Evidence) -> str:
    """Return why a port on which Nginx listens cannot be reached; "" if it can."""
    found = (d for d in e.probes if d.closed and d.address in e.own and e.serving)
    return next((f"port {e.url.port} of {d.address}: {d.closed}" for d in found), "")


def rule(e: Evidence) -> str:
    """Return the likeliest rule of the server's firewall that blocks the port; "" if none."""
    lines = [w for w in e.lines("firewall") if w != "ufw inactive"]
    near = (w for w in lines if str(e.url.port) in w)
    return next(near, lines[0] if lines else "")


def firewall(e: Evidence) -> str:
    ufw = any(w == "ufw active" for w in e.lines("firewall"))
    return f"{closed(e)}; rule: {rule(e)}" if closed(e) and rule(e) and not ufw else ""


def ufw(e: Evidence) -> str:
    active = any(w == "ufw active" for w in e.lines("firewall"))
    return f"{closed(e)}; ufw is active" if closed(e) and active else ""


def between(e: Evidence) -> str:
    return "" if rule(e) else closed(e)


def unknown(e: Evidence) -> str:
    named = any(d.named for d in e.probes)
    return "" if named else f"this machine cannot resolve {e.url.name}"


def foreign(e: Evidence) -> list[Probe]:
    """Return the other hosts that the name points to and that forwarded no probe to the server."""
    led = {d.number for d, _ in e.fronts}
    return [d for d in e.probes if d.named and d.address not in e.own and d.number not in led]


def elsewhere(e: Evidence) -> str:
    found = [d for d in foreign(e) if not gone_astray(d)]
    if not found or e.fronts:
        return ""
    answer = found[0].lab or found[0].status
    how = found[0].closed or (f"answers {answer}" if answer else "gives no answer")
    who = f"{e.url.name} points to {there(found[0])}, which {how}"
    return f"{who}; the server is {e.peer or ', '.join(sorted(e.own))}"


def gone_astray(probe: Probe) -> bool:
    """Check whether this is a reverse proxy that cannot reach its upstream."""
    return probe.status in (502, 503, 504)


def no_way_back(e: Evidence) -> str:
    found = next((d for d in foreign(e) if gone_astray(d)), None)
    return f"{there(found)} answers {found.status}, and no probe arrived here" if found else ""


def front(e: Evidence, wrong) -> str:
    """Describe the first reverse proxy in front that does something wrong; "" if none does.

    :param wrong: (the proxy's answer, how the probe arrived) -> what is wrong, or "".
    """
    told = ((probe, wrong(probe, came)) for probe, came in e.fronts)
    return next((f"{there(probe)} {words}" for probe, words in told if words), "")


def no_upgrade(e: Evidence) -> str:
    def wrong(probe: Probe, came: Arrival) -> str:
        lost = came.upgrade is not None and came.upgrade.lower() != "websocket"
        return "passes a websocket on as a plain request" if lost else ""

    return front(e, wrong)


def no_host(e: Evidence) -> str:
    def wrong(probe: Probe, came: Arrival) -> str:
        other = came.host is not None and came.host.lower() != e.url.host.lower()
        return f"passes the host {came.host} on, browsers send {e.url.host}" if other else ""

    return front(e, wrong)


def front_body(e: Evidence) -> str:
    own = e.lines("body") == ["413"]
    return "" if own else front(
        e, lambda probe, _: f"answers 413 to {PIECE} bytes" if probe.large == 413 else ""
    )  # fmt: skip


def under(e: Evidence) -> tuple[str, str, Probe] | None:
    """Return how a reverse proxy in front changes the path; None if it does not.

    :returns: the path prefix on the proxy, the one that arrives at the server, the proxy.
    """
    own = e.settings.base_path
    found = [(d.sent.rpartition("/")[0], came.path, d) for d, came in e.fronts]
    if any(sent == own == came for sent, came, _ in found):
        return None
    return next(iter(found), None)


def rewritten(e: Evidence) -> str:
    if not (odd := under(e)):
        return ""
    sent, came, probe = odd
    leads = f"; /lab leads to {probe.place}" if probe.place else ""
    return f"{there(probe)} serves it under {sent or '/'}, which arrives as {came or '/'}{leads}"


def in_front(e: Evidence) -> str:
    return front(e, lambda probe, came: f"forwards requests, from {came.address}")


def untrusted(e: Evidence) -> str:
    found = (d for d in e.probes if d.untrusted and d.named)
    return next((f"{there(d)}: {d.untrusted}" for d in found), "")


def nothing_there(e: Evidence) -> str:
    """Return a wrong answer of /lab although the checks on the server pass."""
    found = (d for d in e.probes if d.named and d.address in e.own and d.status and d.lab)
    wrong = (d for d in found if not (d.lab in (301, 302) and d.place) and e.failed is None)
    # a 502 from outside only: JupyterLab had just been started
    return next((f"/lab answers {d.lab} at {there(d)}" for d in wrong if d.lab < 500), "")
