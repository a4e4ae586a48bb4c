"""Proofs that Nginx or its certificate is faulty; each function returns one, or "". No I/O."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ..items.base import unpacked
from ..items.certificate import covers, days_left, issuer, lasts, left, names, overdue, parsed
from . import nginx_config
from .evidence import Evidence
from .nginx_config import bytes_of
from .probe import PIECE

NGINX = "nginx.service"
SERVERS = "Detail: ", "acme.messages.Error: "  # lines with the words of the ACME server
VAGUE = re.compile("Some challenges have failed|can't set attribute|Authenticated request failed")


def rejected(e: Evidence) -> str:
    return next((w for w in e.lines("nginx") if "[emerg]" in w and "Permission" not in w), "")


def taken(e: Evidence) -> str:
    ports = {e.settings.http_port, e.settings.entrance}
    found = {p: n for p, n in e.listening.items() if p in ports and n not in ("nginx", "")}
    return next((f"{name} listens on port {port}" for port, name in found.items()), "")


def nginx_masked(e: Evidence) -> str:
    return f"{NGINX} is masked" if e.unit(NGINX, "LoadState") == "masked" else ""


def nginx_down(e: Evidence) -> str:
    how = e.unit(NGINX, "ActiveState")
    return f"{NGINX} is {how}" if how in ("inactive", "failed") else ""


def no_site(e: Evidence) -> str:
    if e.site is None or e.site.files:
        return ""
    return f"no server block of Nginx has {e.settings.url_name} on port {e.settings.entrance}"


def unloaded(e: Evidence) -> str:
    return next(iter(e.lines("reload")), "")


def apart(e: Evidence) -> str:
    text, ours = "\n".join(e.said.get("site", [])), e.settings.instance.enabled
    return nginx_config.apart(text, ours, e.settings.entrance) if text.strip() else ""


def two_sites(e: Evidence) -> str:
    others = [f for f in e.site.files if e.settings.instance.called not in f] if e.site else []
    return f"{others[0]} has this name, too" if others and len(e.site.files) > 1 else ""


def proxied(e: Evidence) -> bool:
    return bool(e.site and e.site.proxied)


def upgrade(e: Evidence) -> str:
    if not proxied(e):
        return ""
    lacks = [n for n in ("Upgrade", "Connection") if not e.site.headers.get(n.lower())]
    if lacks:
        return f"{e.site.files[0]} has no proxy_set_header {lacks[0]}"
    old = e.site.version != "1.1" and f"{e.site.files[0]} has no proxy_http_version 1.1"
    return old or ""


def host(e: Evidence) -> str:
    told = e.site.headers.get("host", "") if proxied(e) else "$http_host"
    name = e.settings.url_name
    usual = e.settings.host == name
    if told not in ("", "$proxy_host") and (usual or told not in ("$host", name)):
        return ""
    what = f"proxy_set_header Host {told}" if told else "no proxy_set_header Host"
    return f"{e.site.files[0]} has {what}, browsers send {e.settings.host}"


def small_body(e: Evidence) -> str:
    chosen = limit(e) < PIECE
    return "" if chosen else body(e)


def small_chosen(e: Evidence) -> str:
    return f"lab.upload_limit: {e.settings.upload_limit}" if limit(e) < PIECE and body(e) else ""


def limit(e: Evidence) -> int:
    """Return the limit of a request body, in bytes, from the settings."""
    return bytes_of(e.settings.upload_limit)


def body(e: Evidence) -> str:
    told = f", client_max_body_size {e.site.body} bytes" if proxied(e) else ""
    refused = e.lines("body") == ["413"]
    return f"Nginx on the server answers 413 to {PIECE} bytes{told}" if refused else ""


def timeout(e: Evidence) -> str:
    short = proxied(e) and e.site.timeout < e.settings.read_timeout
    return f"{e.site.files[0]} has proxy_read_timeout {e.site.timeout:.0f} s" if short else ""


# --- certificates ----------------------------------------------------------------------------


def no_certificate(e: Evidence) -> str:
    missing = e.settings.secure and e.serving and e.certificate is None
    return f"Nginx serves none on port {e.settings.entrance}" if missing else ""


def clocks(e: Evidence) -> tuple[datetime, datetime]:
    """Return the time on this machine and on the server.

    A certificate is faulty only if both clocks agree; otherwise one of the clocks is.
    """
    now = datetime.now(UTC)
    return now, now + timedelta(seconds=e.offset)


def expired(e: Evidence) -> str:
    end = e.certificate and e.certificate.not_valid_after_utc
    return f"it expired on {end:%Y-%m-%d %H:%M} UTC" if end and end < min(clocks(e)) else ""


def too_early(e: Evidence) -> str:
    start = e.certificate and e.certificate.not_valid_before_utc
    early = start and start > max(clocks(e))
    return f"it is valid from {start:%Y-%m-%d %H:%M} UTC" if early else ""


def other_name(e: Evidence) -> str:
    wrong = e.certificate and not covers(e.certificate, e.settings.domain)
    return f"it is for {', '.join(names(e.certificate)) or 'no name'}" if wrong else ""


def timer_off(e: Evidence) -> str:
    timer = e.settings.renewal_timer
    how = e.unit(timer, "ActiveState") if e.settings.tls == "letsencrypt" else ""
    return f"{timer} is {how}" if how in ("inactive", "failed") else ""


def late(e: Evidence) -> str:
    """Return how long the certificate lasts if certbot should have replaced it by now."""
    if e.settings.tls != "letsencrypt" or not e.certificate:
        return ""
    if not overdue(e.certificate, min(clocks(e))):
        return ""
    return expired(e) or f"it ends in {left(e.certificate)}"


def not_handed_on(e: Evidence) -> str:
    renewed = late(e) and parsed(unpacked("".join(e.lines("lineage"))))
    if not renewed or renewed.not_valid_after_utc <= e.certificate.not_valid_after_utc:
        return ""
    new, said = f"certbot has one of {renewed.not_valid_before_utc:%Y-%m-%d}", e.lines("certbot")
    return "; ".join(filter(None, (late(e), new, hooks(said))))


def not_renewed(e: Evidence) -> str:
    return late(e) and f"{late(e)}; certbot says: {certbots(e.lines('certbot')) or 'nothing'}"


def certbots(lines: list[str]) -> str:
    """Return why certbot's last renewal failed, from its log; "" if it does not say.

    The words of the ACME server stand before certbot's summary, and tell more.
    """
    found = detail = ""
    for line in lines:
        _, fails, why = line.partition(" with error: ")
        if line.startswith(SERVERS):
            detail = line.partition(": ")[2]
        elif fails:
            found, detail = (detail if detail and VAGUE.match(why) else why), ""
    return short(found)


def hooks(lines: list[str]) -> str:
    """Return why a new certificate was not given to Nginx, from certbot's log; "" if unknown."""
    found = ""
    for line in lines:
        _, failed, code = line.partition(" reported error code ")
        if failed:
            found = f"its hook ended with {code}"
        elif found and line.startswith("nginx: "):
            found = line
    return short(found)


def short(text: str) -> str:
    """Return the beginning of a line of a log."""
    return text if len(text) <= 300 else f"{text[:297]}..."


def ends_soon(e: Evidence) -> str:
    own = e.certificate and e.settings.tls != "letsencrypt"  # else see `not_renewed`
    soon = own and not expired(e) and not lasts(e.certificate)
    return f"{days_left(e.certificate)} days left, by {issuer(e.certificate)}" if soon else ""
