"""A certificate and its key, as Nginx reads them: PATH.pem for everybody, PATH.key for root."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ..script import call, look
from ..settings.fields import address
from .base import Change
from .files import PathItem, PathState

DUE = timedelta(days=20)  # of one that no program renews; less for a short-lived one
EARLY = timedelta(days=30)  # certbot's first try, at the earliest; less for a short-lived one
RENEWER = "certbot.service"
TRIES = timedelta(days=1)  # certbot tries twice a day


@dataclass(frozen=True)
class CertificateState:
    """The state of a certificate.

    :param file: that of its file.
    :param key: that of its key, without the text.
    :param told: what certbot's settings say of it, and systemd of certbot's last run.
    """

    file: PathState
    key: PathState | None = None
    told: dict[str, str] = field(default_factory=dict)

    @property
    def server(self) -> str:
        """The ACME server that renews it; "" when none does."""
        return self.told.get("server", "")

    @functools.cached_property
    def certificate(self):
        """The first certificate of the file; None without one."""
        return parsed(self.file.text or "")


@dataclass(frozen=True, kw_only=True)
class Certificate(PathItem):
    """A certificate with its chain, for one name. :param path: that of the certificate."""

    domain: str

    @property
    def key(self) -> str:
        """The path of its key."""
        return key_of(self.path)

    def due(self, state: CertificateState) -> str:
        """Return why another one is needed; nothing when this one is good."""
        there = state.certificate
        if there is None:
            return "there is none yet"
        if not covers(there, self.domain):
            return f"the current one is for {', '.join(names(there)) or 'no name'}"
        if not lasts(there):
            return f"the current one has {days_left(there)} days left"
        return ""

    def shown(self, state):
        there = state.certificate
        return f"by {issuer(there)}, {days_left(there)} days left" if there else ""


@dataclass(frozen=True)
class Signing(Change):
    """A change whose shell holds a new key, or a secret, so a dry run never asks for that shell.

    :param fix: returns the shell.
    """

    fix: Callable[[], str] = str

    def __post_init__(self):
        del self.__dict__["shell"]

    @functools.cached_property
    def shell(self) -> str:
        """The lines that make the change."""
        return self.fix()


@dataclass(frozen=True, kw_only=True)
class Given(Certificate):
    """A certificate from this machine. Its key is never read, but always replaced with it.

    :param fits: tells whether the text of the current one is good.
    :param make: returns the chain and the key, when they are needed.
    """

    fits: Callable[[str], bool]
    make: Callable[[], tuple[str, str]]

    @property
    def paths(self):
        return self.path, self.key

    def read(self):
        return f"{look('show_path', self.path)}\n{look('show_rights', self.key)}"

    def parse(self, lines) -> CertificateState:
        return CertificateState(PathState.parse(lines[:-1]), PathState.parse(lines[-1:]))

    def compare(self, state, touched):
        well = self.fits(state.file.text or "") and state.file.rights == self.rights
        if well and state.key.rights == (self.owner, self.group, "0600"):
            return None
        say = f"put the certificate of {self.domain} into {self.path}"
        return Signing(say, "", (self.path,), needs=self.needs, fix=self.placed)

    def placed(self) -> str:
        """Return the calls that write both."""
        chain, secret = self.make()
        key = call("put_file", self.key, self.owner, self.group, "0600", text=secret)
        return "\n".join([self.begin(), key, call("put_file", self.path, *self.rights, text=chain)])

    def begin(self) -> str:
        """Return the call that marks the certificate as incomplete until both are written."""
        return call("doubt", self.path)


@dataclass(frozen=True, kw_only=True)
class Issued(Certificate):
    """A certificate from an ACME server, which needs Nginx to answer for the name.

    :param server: the URL of its directory.
    :param dns: the DNS provider through whose API the name is proved; "" if by the webroot.
    :param credentials: the file for that on the server; "" if the server needs none.
    :param hook: the program that hands a renewed one to Nginx.
    :param certbot: the venv of our own certbot; "" for Debian's.
    :param now: obtain one, if it is due; else it is only read.
    """

    server: str
    email: str
    webroot: str
    hook: str
    dns: str = ""
    credentials: str = ""
    certbot: str = ""
    now: bool = False

    @property
    def renewer(self) -> str:
        """The unit that renews it."""
        return f"{self.certbot.rpartition('/')[2]}.service" if self.certbot else RENEWER

    @property
    def units(self):
        return (self.renewer,)

    def read(self):
        own = call("show_acme_server", *filter(None, [self.certbot]))
        return f"{super().read()}\n{own}\n{look('show_service', self.renewer)}"

    def parse(self, lines) -> CertificateState:
        told = dict(line.split("=", 1) for line in lines[1:] if "=" in line)
        return CertificateState(PathState.parse(lines[:2]), told=told)

    @property
    def authenticator(self) -> str:
        """The plugin of certbot that proves the name."""
        return f"dns-{self.dns}" if self.dns else "webroot"

    def due(self, state):
        if state.file.kind == "file" and state.server != self.server:
            return f"the current one is of {state.server or 'no server that renews it'}"
        if state.file.kind == "file" and state.file.rights != self.rights:
            return "the current one is incomplete"
        way = state.told.get("authenticator", self.authenticator)
        if way != self.authenticator:
            return f"the current one is renewed by {way}, not by {self.authenticator}"
        there = state.certificate
        if there and covers(there, self.domain) and overdue(there):
            return f"certbot has not renewed it, and it ends in {left(there)}"
        return super().due(state)

    def serves(self, state: CertificateState) -> bool:
        """Say whether browsers accept the one that is there, due or not."""
        there = state.certificate
        return bool(there) and covers(there, self.domain) and left(there) != "0 hours"

    def compare(self, state, touched):
        if not self.now or not self.due(state):
            return None
        place = self.credentials if self.dns else self.webroot
        told = self.domain, self.email, self.server, self.hook, self.authenticator, place
        told += (self.certbot,) if self.certbot else ()
        say = f"obtain a certificate for {self.domain}"
        return Change(say, call("obtain_certificate", *told), (self.path,))


@dataclass(frozen=True, kw_only=True)
class Certbot(PathItem):
    """A venv for root with certbot, in exactly these versions.

    :param versions: `NAME==VERSION` of each package in it, certbot's among them.
    """

    versions: tuple[str, ...]

    def read(self) -> str:
        return look("show_certbot", self.path)

    def parse(self, lines) -> list[str]:
        """Return `NAME-VERSION` of each distribution in it."""
        return lines

    def compare(self, state, touched):
        if {one.replace("==", "-") for one in self.versions} <= {*state}:
            return None
        chief = next(one for one in self.versions if one.startswith("certbot=="))
        say = f"install {chief.replace('==', ' ')} into {self.path}"
        fix = call("make_certbot", self.path, *self.versions)
        return Change(say, fix, (self.path,), needs=self.needs)


def key_of(path: str) -> str:
    """Return the path of the key that belongs to a certificate."""
    return f"{path.removesuffix('.pem')}.key"


def parsed(text: str):
    """Return the first certificate of a chain, or None; cryptography is slow to import."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(text.encode()) if text else None
    except ValueError:
        return None


def names(certificate) -> list[str]:
    """Return the DNS names of a certificate, in lower case, and its IP addresses."""
    return [*dns_names(certificate), *addresses(certificate)]


def dns_names(certificate) -> list[str]:
    """Return the DNS names of a certificate, in lower case."""
    from cryptography import x509

    return [name.lower() for name in alternatives(certificate, x509.DNSName)]


def addresses(certificate) -> list[str]:
    """Return the IP addresses of a certificate."""
    from cryptography import x509

    return [str(one) for one in alternatives(certificate, x509.IPAddress)]


def alternatives(certificate, kind) -> list:
    """Return the values of one kind in a certificate's SubjectAlternativeName."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return found.value.get_values_for_type(kind)


def covers(certificate, domain: str) -> bool:
    """Check whether it is valid for a name or an address; `*.` is one label of it (RFC 6125)."""
    if address(domain):
        return domain in addresses(certificate)
    _, _, above = domain.lower().partition(".")
    return not {domain.lower(), f"*.{above}"}.isdisjoint(dns_names(certificate))


def lasts(certificate) -> bool:
    """Check whether it is valid for long enough."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return end >= datetime.now(UTC) + min(DUE, (end - begin) / 3)


def overdue(certificate, now: datetime | None = None) -> bool:
    """Check whether certbot should have renewed it by now, after a day in which it may fail.

    Certbot begins when a third of its life is left, or half of less than ten days. So of a
    certificate of six days there are two and a half left.
    """
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    life = end - begin
    first = min(EARLY, life / (2 if life < timedelta(days=10) else 3))
    return end < (now or datetime.now(UTC)) + first - min(TRIES, life / 8)


def issuer(certificate) -> str:
    """Return the name of the CA that issued it."""
    from cryptography.x509.oid import NameOID

    oids = NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME
    found = (a.value for oid in oids for a in certificate.issuer.get_attributes_for_oid(oid))
    return str(next(found, "an unnamed CA"))


def days_left(certificate) -> int:
    """Return the whole days until it expires, 0 afterwards."""
    return max((certificate.not_valid_after_utc - datetime.now(UTC)).days, 0)


def left(certificate) -> str:
    """Return how long it is valid, in words: in days, or in hours where these are few."""
    seconds = (certificate.not_valid_after_utc - datetime.now(UTC)).total_seconds()
    hours = max(int(seconds // 3600), 0)
    return f"{hours // 24} days" if hours >= 96 else f"{hours} hours"


def described(certificate) -> dict:
    """Return issuer, names and end of a certificate, for a program."""
    return {
        "issuer": issuer(certificate),
        "names": names(certificate),
        "days_left": days_left(certificate),
        "until": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
    }
