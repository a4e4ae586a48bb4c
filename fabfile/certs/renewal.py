"""A certificate that nears its end though a new one should be there: how it is told. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime

from ..engine.converge import Reading
from ..items import Certificate, Issued, Service
from ..items.certificate import lasts, left, overdue
from ..items.services import moment


def warning(seen: Reading, tls: str, fab: str) -> str:
    """Return why the certificate of the server may end, and what to type; "" while all is well.

    :param tls: lab.tls; :param fab: the beginning of a command for that server.
    """
    for item, state in seen.of(Certificate):
        there = state.certificate
        if there is None:
            continue
        if isinstance(item, Issued) and overdue(there):
            why = unrenewed(seen)
            told = f"certbot has not renewed it{why and f': {why}'}"
            return f"{told}; {fab} doctor says why, {fab} tls tries again"
        if not isinstance(item, Issued) and not lasts(there):
            return ending(there, tls, fab)
    return ""


def ending(there, tls: str, fab: str) -> str:
    """Return what to do about a certificate that no program renews, and that ends soon."""
    first = "get a new one, then " if tls == "files" else ""
    return f"it ends in {left(there)}; remedy: {first}{fab} tls"


def unrenewed(seen: Reading) -> str:
    """Return why certbot did not renew it, as far as systemd says that to everybody."""
    timers = {item.unit: state.properties for item, state in seen.of(Service)}
    ((item, state),) = seen.of(Issued)
    timer = item.renewer.replace(".service", ".timer")
    if timers.get(timer, {}).get("ActiveState", "active") != "active":
        return f"{timer} does not run"
    if state.told.get("ActiveState") == "failed":
        began = moment(state.told.get("ExecMainStartTimestamp", ""))
        return f"its last run, at {datetime.fromtimestamp(began, UTC):%Y-%m-%d %H:%M} UTC, failed"
    return ""
