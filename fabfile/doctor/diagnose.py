"""Infer from the evidence what is wrong with a server, causes first. No I/O."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ..settings import Settings
from . import check_network
from .causes import CAUSES, Cause
from .evidence import Evidence
from .probe import Url


@dataclass(frozen=True)
class Finding:
    """A cause that was found on a server.

    :param proof: the observation that shows it; :param remedy: what to type, or to do.
    """

    cause: Cause
    proof: str
    remedy: str


def likely(check: str, detail: str) -> list[Cause]:
    """Return the causes that make a check of `verify` fail, the likeliest first."""
    found = [(one, word) for one in CAUSES for start, word in one.signs
             if start in check and word in detail]  # fmt: skip
    by_word = [one for one, word in found if word]
    named = by_word or [one for one, _ in found]
    return sorted(named, key=lambda one: -sum(one.name in other.hides for other in named))


def diagnose(e: Evidence, fab: str) -> list[Finding]:
    """Return what is wrong with a server, causes first, without their consequences.

    :param fab: the beginning of a command for this server, such as `fab -H david@1.1.1.1`.
    """
    words, hidden, told = placeholders(e, fab), set(), []
    suspects = likely(*e.failed) if e.failed else []

    def tell(one: Cause, proof: str) -> None:
        told.append(Finding(one, " ".join(proof.split()), one.remedy.format_map(words)))
        hidden.update(one.hides, ("proof",) if one in suspects else ())

    for one in CAUSES:
        proof = one.found(e) if one.found else ""
        if proof and not hidden & {one.name, "*"}:
            tell(one, proof)
    if suspects and "proof" not in hidden:
        check, detail = e.failed
        tell(suspects[0], f"{check}: {detail.strip() or 'no answer'}")
    return told


def table() -> str:
    """Return the table of symptoms, causes and remedies, in Markdown."""
    settings = Settings(domain="lab.example.org")
    e = Evidence(settings, Url("http", settings.domain, 80), peer="1.1.1.1")
    words = placeholders(e, "fab -H david@1.1.1.1") | {"prefix": "/jupyter"}
    rows = (
        f"| {one.symptom} | {one.why} | {one.remedy.format_map(words)} |\n"
        for one in CAUSES
        if one.symptom
    )
    return "| symptom | cause | remedy |\n|---|---|---|\n" + "".join(rows)


def placeholders(e: Evidence, fab: str) -> dict[str, str]:
    """Return the values for the placeholders of the remedies."""
    odd = check_network.under(e)
    inside = f"http://{f'[{e.peer}]' if ':' in e.peer else e.peer or 'this-server'}"
    if e.settings.entrance not in (80, 443):
        inside += f":{e.settings.entrance}"
    alone = e.settings.site == "own"
    values = {
        "fab": fab,
        "apart": f"remove {e.settings.domain} from that site, then {fab} nginx"
        if alone
        else f"the site of {e.settings.domain} needs our line, which {fab} nginx prints",
        "lead": f"set lab.domain: {e.peer or 'ADDRESS'}, an address of the server, then {fab} full"
        if e.settings.numeric
        else f"point {e.url.name} to {e.peer or 'this server'} in the DNS, or for this machine "
        f"alone: {fab} hosts",
        "user": e.settings.user or "that user",
        "domain": e.settings.domain,
        "name": e.url.name,
        "port": str(e.url.port),
        "server": e.peer or "this server",
        "origin": inside if not e.settings.secure else inside.replace("http:", "https:"),
        "prefix": odd[0] if odd else "",
    }
    return defaultdict(str, values)
