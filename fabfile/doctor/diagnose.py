"""From evidence to findings: which ailments a server has, causes first. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ..settings import Settings
from . import check_network
from .causes import AILMENTS, Ailment
from .evidence import Evidence
from .probe import Gate


@dataclass(frozen=True)
class Finding:
    """An ailment that a server has.

    :param proof: what shows it; :param remedy: what to type, or to do.
    """

    ailment: Ailment
    proof: str
    remedy: str


def likely(check: str, detail: str) -> list[Ailment]:
    """Those by which a check of `verify` fails, the likeliest first."""
    found = [(one, word) for one in AILMENTS for start, word in one.signs
             if start in check and word in detail]  # fmt: skip
    by_word = [one for one, word in found if word]
    named = by_word or [one for one, _ in found]
    return sorted(named, key=lambda one: -sum(one.name in other.hides for other in named))


def diagnose(e: Evidence, fab: str) -> list[Finding]:
    """What a server suffers from, causes first, without what follows from them.

    :param fab: what begins a command for this server.
    """
    words, hidden, told = words_of(e, fab), set(), []
    suspects = likely(*e.failed) if e.failed else []

    def tell(one: Ailment, proof: str) -> None:
        told.append(Finding(one, " ".join(proof.split()), one.remedy.format_map(words)))
        hidden.update(one.hides, ("proof",) if one in suspects else ())

    for one in AILMENTS:
        proof = one.found(e) if one.found else ""
        if proof and not hidden & {one.name, "*"}:
            tell(one, proof)
    if suspects and "proof" not in hidden:
        check, detail = e.failed
        tell(suspects[0], f"{check}: {detail.strip() or 'no answer'}")
    return told


def table() -> str:
    """The rows of symptom, cause and remedy, for people to read: in Markdown."""
    settings = Settings(domain="lab.example.org")
    e = Evidence(settings, Gate("http", settings.domain, 80), peer="1.1.1.1")
    words = words_of(e, "fab -H david@1.1.1.1") | {"prefix": "/jupyter"}
    rows = (
        f"| {one.symptom} | {one.cause} | {one.remedy.format_map(words)} |\n"
        for one in AILMENTS
        if one.symptom
    )
    return "| what one sees | why | what helps |\n|---|---|---|\n" + "".join(rows)


def words_of(e: Evidence, fab: str) -> dict[str, str]:
    """What the remedies name."""
    odd = check_network.under(e)
    inside = f"http://{e.peer or 'this-server'}"
    if e.settings.entrance not in (80, 443):
        inside += f":{e.settings.entrance}"
    alone = e.settings.site == "own"
    values = {
        "fab": fab,
        "apart": f"take {e.settings.domain} out of it, then {fab} nginx"
        if alone
        else f"that of {e.settings.domain} needs our line, which {fab} nginx names",
        "user": e.settings.user or "that user",
        "domain": e.settings.domain,
        "name": e.gate.name,
        "port": str(e.gate.port),
        "server": e.peer or "this server",
        "origin": inside if not e.settings.secure else inside.replace("http:", "https:"),
        "prefix": odd[0] if odd else "",
    }
    return defaultdict(str, values)
