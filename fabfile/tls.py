"""HTTPS: a certificate from your private CA, from Let's Encrypt, or from your own files.

Owns /etc/nginx/jupyterlab; for Let's Encrypt also certbot, its webroot, and the hook that gives
each new certificate to Nginx. The site itself belongs to the step nginx.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from invoke import Exit

from . import nginx
from .certs import certbot, renewal, selection
from .engine.converge import NOTHING, Reading, converge, look
from .engine.host import Host, Request
from .items import Directory, File, Given, Issued, Item
from .items.base import unpacked
from .items.certificate import (
    covers,
    days_left,
    described,
    issuer,
    lasts,
    names,
    overdue,
    parsed,
)
from .script import RemoteScript, call
from .settings import Settings
from .settings.credentials import given_ca_passphrase
from .ssh import channel, connection
from .ssh.errors import fab_on
from .ui.console import note, say

OURS = "JupyterLab servers of "  # how the name of a private CA begins


def items(settings: Settings, host: Host) -> list[Item]:
    """Return the items of the certificate; none if HTTPS is off or that of another site."""
    if not settings.certified:
        return []
    folder = Directory(path=settings.instance.certificates, needs=("nginx",))
    if settings.tls == "letsencrypt":
        return [*certbot.program(settings, host), folder, *certbot.certificate(settings)]
    return [folder, given(settings), *page(settings)]


def page(settings: Settings) -> list[Item]:
    """Return the page from which devices import the private CA; none if there is no such CA."""
    if settings.tls != "self-signed":
        return []
    from .certs import ca_page

    ca, place, needs = selection.authority(settings), settings.instance.ca_page, ("nginx",)
    texts = {"index.html": ca_page.page(ca, settings), "ca.crt": ca.pem}
    return [
        Directory(path=place, needs=needs),
        *(File(path=f"{place}/{name}", content=text, needs=needs) for name, text in texts.items()),
    ]


def given(settings: Settings) -> Given:
    """Return the item of a certificate that this machine sends to the server."""
    if settings.tls == "files":
        pair = selection.given(settings)
        fits, make = pair[0].__eq__, lambda: pair
    else:
        ca = selection.authority(settings)
        ca.refuse_other(settings.domain)
        fits, make = signed(ca, settings), lambda: ca.issue(settings.domain)
    return Given(
        step="tls",
        path=selection.own(settings),
        domain=settings.domain,
        fits=fits,
        make=make,
        needs=("nginx",),
    )


def signed(ca, settings: Settings):
    """Return a check of a certificate's text: by our CA, for this name, valid for long enough.

    The check refuses to replace a good certificate by one of a CA that was made just now.
    """

    def check(text: str) -> bool:
        there = parsed(text)
        if not there or not covers(there, settings.domain) or not lasts(there):
            return False
        if ca.new and issuer(there).startswith(OURS) and not ca.signed(there):
            raise Exit(f"the server has a certificate by {issuer(there)}, and {ca.folder} has no "
                       "CA: copy that folder from where it was made; or, for a new CA, remove "
                       f"the certificate in {settings.instance.certificates} there")  # fmt: skip
        return ca.signed(there)

    return check


def ask_now(settings: Settings, host: Host) -> list[Item]:
    """Return the item that obtains the certificate in this run."""
    return [certbot.issued(settings, now=True)]


def serve(
    c, settings: Settings, *steps, checked: bool = True, request: Request = NOTHING
) -> tuple[Reading, Settings]:
    """Converge the steps; then, if an ACME server's certificate is due, obtain and serve it.

    Until then the site answers by HTTP, or with the former certificate.

    :param checked: first check whether the ACME server can reach the name.
    :param request: what is asked for beyond the settings.
    :returns: what was read, and the settings: `auto` may have to do without the ACME server.
    :raises Exit: when the name leads to another server, or there is no certificate.
    """
    dry = c.config.run.dry
    if settings.auto and settings.tls == "off":
        raise Exit(f"lab.domain: {settings.auto}")
    if settings.auto:
        say(f"  tls      auto is {settings.tls} here: {settings.auto}")
    if settings.tls == "self-signed" and not dry:
        ca = selection.authority(settings)
        if ca.new:
            look(c, settings, steps)  # may refuse a new CA
        if ca.save():
            tell_new(ca, settings)
        if not ca.names:
            names = " ".join(settings.ca_names) or settings.domain
            say(f"  note     your private CA in {ca.folder} may sign for any name, so its key "
                f"could fake every site: {fab_on(c)} tls --new-ca makes one for {names}, "
                "which browsers must import")  # fmt: skip
    seen = converge(c, settings, *steps, request=request)
    if settings.tls != "letsencrypt":
        return seen, settings
    ((item, state),) = seen.of(Issued)
    why = item.due(state)
    if why and dry:
        say(f"  would then obtain a certificate for {settings.domain} ({why}), and serve it")
    elif why:
        say(f"  tls      a certificate is due: {why}")
        try:
            obtain(c, settings, seen.host.root, checked, request)
        except Exit as problem:
            if settings.auto is None or item.serves(state):
                raise
            say(f"  tls      there is no certificate of Let's Encrypt: {problem.message}")
            say("  tls      your private CA signs instead; to try again later: "
                f"{fab_on(c)} tls --decide")  # fmt: skip
            instead = msgspec.structs.replace(settings, tls="self-signed", auto="")
            return serve(c, instead, *steps, request=request)
    return seen, settings


def obtain(c, settings: Settings, root: bool, checked: bool, request: Request) -> None:
    """Have an ACME server issue a certificate, and serve it.

    :param root: True if the login user is root.
    """
    if checked:
        from .certs import acme_preflight

        acme_preflight.check(c, settings, root)
    converge(c, settings, ask_now, request=request)
    converge(c, settings, nginx.items, request=request)


def tell_new(ca, settings: Settings) -> None:
    """Print the names of a new CA, how browsers get it, and a note on its passphrase."""
    say(f"  tls      your private CA is new, for {', '.join(ca.names)}: import {ca.folder}/ca.pem "
        "into browsers")  # fmt: skip
    say(f"  tls      {whereabouts(ca, settings)}")
    if not given_ca_passphrase():
        say(f"  note     its key has no passphrase: ssh-keygen -p -m PKCS8 -f {ca.folder}/ca.key "
            "adds one; then set LAB_CA_PASSPHRASE, or type it when the CA signs")  # fmt: skip


def whereabouts(ca, settings: Settings) -> str:
    """Return where phones find the CA, and by which fingerprint they know it."""
    from .certs import ca_page

    return f"phones import it from {ca_page.address(settings)}; SHA-256 {ca.fingerprint}"


def begin_anew(c, settings: Settings) -> None:
    """Rename the folder of the private CA, and make another CA.

    :raises Exit: when lab.tls is not self-signed.
    """
    from .certs.private_ca import FOUND, put_aside

    if settings.tls != "self-signed":
        raise Exit(f"lab.tls is {settings.tls}: only self-signed has a private CA")
    folder = Path(settings.ca_folder).expanduser()
    if c.config.run.dry:
        say(f"  would make another CA in {folder}, for "
            f"{', '.join(settings.ca_names or (settings.domain,))}")  # fmt: skip
        return
    former = put_aside(folder)
    if former:
        say(f"  tls      the former CA is now in {former}: remove it from browsers")
    ca = selection.authority(settings)
    if ca.save():
        FOUND.pop(folder)  # it is read again as an existing one
        tell_new(ca, settings)


def pending(seen: Reading) -> str:
    """Return which certificate of an ACME server is due, and why; "" if none is."""
    for item, state in seen.of(Issued):
        if why := item.due(state):
            return f"obtain a certificate for {item.domain}: {why}"
    return ""


def tls(c, settings, status, preflight, new_ca, decide, yes):
    if status:
        show(c, settings)
    else:
        if decide:
            if settings.auto is None:
                raise Exit(f"lab.tls is {settings.tls}: only auto decides")
            from .certs import auto

            settings = auto.decided(c, settings, anew=True)
        if new_ca:
            begin_anew(c, settings)
        serve(c, settings, items, nginx.items, checked=preflight, request=Request(yes=yes))


def show(c, settings: Settings) -> None:
    """Print the certificate that Nginx serves right now.

    :raises Exit: when it serves none.
    """
    if not settings.secure:
        raise Exit("lab.tls is off: there is no certificate; choose self-signed or letsencrypt")
    connection.open_connection(c, settings)
    asked = call("show_served", settings.sni, settings.https_port)
    told = channel.ask(c, RemoteScript(("lib/read",), calls=asked))
    there = parsed(unpacked("".join(told)))
    if there is None:
        raise Exit(f"Nginx has no certificate for {settings.domain}: run {fab_on(c)} tls")
    note(url=f"{settings.url}/lab", certificate=described(there))
    say(f"{settings.url}: issued by {issuer(there)}, for {', '.join(names(there))}")
    end = there.not_valid_after_utc
    say(f"  {days_left(there)} days left, until {end:%Y-%m-%d %H:%M} UTC")
    if settings.tls == "self-signed" and (ca := selection.authority(settings)).signed(there):
        say(f"  its CA: {whereabouts(ca, settings)}")
    if settings.certified and (overdue(there) or not lasts(there)):
        seen, _ = look(c, settings, (items,))
        if why := renewal.warning(seen, settings.tls, f"{fab_on(c)}"):
            say(f"  warning: {why}")
