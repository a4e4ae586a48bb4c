"""Read and check every setting, once.

Invoke merges the layers (fabric.yaml, FABRIC_LAB_* in the environment, -f FILE); this module
checks the result and turns it into one immutable value.
"""

import difflib
import ipaddress
import os
import re

import msgspec
from invoke import Exit

from .credentials import given
from .fields import address, parsed_requirement, words
from .kernel import KERNEL, Kernel
from .schema import LETS_ENCRYPT, ROLES, Settings

NAMES = tuple(n for n in Settings.__struct_fields__ if n not in ("password", "auto"))
LISTS = ("packages", "system_packages", "content_from", "workers", "ca_names")
DEFAULTS = {"hosts": None, "groups": {}, "lab": {**dict.fromkeys(NAMES), "kernels": {}}}


def meaning(kind) -> str:
    """Return what a kind of setting accepts, and its purpose."""
    known = words(kind)
    return f"{known['description']}: {known['title']}"


def checked(path: str, value, kind):
    """Convert a value to its kind.

    :raises Exit: with the setting's path, the value and what is accepted.
    """
    try:
        return msgspec.convert(value, kind, strict=not isinstance(value, str))
    except msgspec.ValidationError:
        raise Exit(f"{path}: {value!r} is not accepted; give {meaning(kind)}") from None


def load(config) -> Settings:
    """Return the checked settings of the `lab:` part of an Invoke/Fabric config.

    :param config: the context's `config`. None means "not set" there, so that strings of the
        environment arrive uncast and `FABRIC_LAB_RECOMMENDS=false` is false.
    :raises Exit: with the setting's path, its value and what is accepted.
    """
    named = getattr(config, "_runtime_path", None)
    if named and not os.path.exists(named):  # Invoke would ignore that
        raise Exit(f"-f {named}: no such file")
    known_at_top = set(type(config).global_defaults()) | set(DEFAULTS)
    refuse_unknown("", config, known_at_top)
    given_here = config["lab"]
    if not hasattr(given_here, "keys"):
        raise Exit(
            f"lab: {given_here!r} is not a group of settings: write `lab:` and indented lines"
        )
    if "password" in given_here:
        raise Exit("lab.password: a password does not belong in a file: set LAB_PASSWORD")
    refuse_unknown("lab.", given_here, NAMES)
    if any(name.startswith("FABRIC_LAB_KERNELS") for name in os.environ):
        raise Exit("FABRIC_LAB_KERNELS: kernels cannot be set in the environment: put them into "
                   "fabric.yaml, or into a file for -f")  # fmt: skip
    if "FABRIC_LAB_PASSWORD" in os.environ:
        raise Exit("FABRIC_LAB_PASSWORD: the password's variable is LAB_PASSWORD: rename it")
    variables = (name for name in os.environ if name.startswith("FABRIC_LAB_"))
    refuse_unknown("FABRIC_LAB_", variables, [f"FABRIC_LAB_{name.upper()}" for name in NAMES])
    chosen = {name: given_here[name] for name in NAMES if given_here[name] is not None}
    chosen |= uncast(config)
    if chosen.get("tls") is False:  # YAML reads `off` as false
        chosen["tls"] = "off"
    for name in LISTS:  # the environment has one string
        if isinstance(chosen.get(name), str):
            chosen[name] = chosen[name].split()
    values = {}
    for name, value in chosen.items():
        check = checked_kernels if name == "kernels" else checked
        values[name] = check(f"lab.{name}", value, Settings.__annotations__[name])
    for name in ("address", "cluster_address"):
        try:
            ipaddress.ip_address(values.get(name) or "::")
        except ValueError:
            what = meaning(Settings.__annotations__[name])
            raise Exit(f"lab.{name}: {values[name]!r} is not accepted; give {what}") from None
    if "domain" in values:
        values["domain"] = spelled("domain", values["domain"])
    if "ca_names" in values:
        values["ca_names"] = tuple(spelled("ca_names", name) for name in values["ca_names"])
    settings = Settings(**values, password=given())
    refuse_at_odds(settings)
    return settings


def spelled(setting: str, name: str) -> str:
    """Return a name as it is, and an IP address as browsers write it.

    :raises Exit: for what browsers take for an address and cannot connect to.
    """
    found = address(name)
    if not found and not re.search(r"[:[]|(\A|\.)(\d+|0[Xx][0-9A-Fa-f]*)\Z", name):
        return name
    known = ipaddress.ip_address(found or "::")
    six = known.version == 6 and (known.is_link_local or known.ipv4_mapped)
    if six or known.is_unspecified or known.is_multicast:
        raise Exit(f"lab.{setting}: {name!r} is neither a name nor an address that browsers can "
                   "connect to: give a name such as lab.example.org, or an IP address of the "
                   "server")  # fmt: skip
    return found


def checked_kernels(path: str, given, kind) -> dict[str, Kernel]:
    """Convert the group of kernels, and check each value under its own path."""
    if not hasattr(given, "items"):
        raise Exit(f"{path}: {given!r} is not accepted; give {meaning(kind)}")
    found = {}
    for name, keys in given.items():
        own = f"{path}.{name}"
        if not re.fullmatch(KERNEL, str(name)):
            raise Exit(f"{path}: {name!r} is not a kernel name; give lower-case letters, digits, - "
                       "and _, a letter first; python3 is JupyterLab's own")  # fmt: skip
        if not hasattr(keys, "items"):
            raise Exit(f"{own}: {keys!r} is not accepted; give a group such as "
                       "{packages: [pandas]}")  # fmt: skip
        refuse_unknown(f"{own}.", keys, Kernel.__struct_fields__)
        values = dict(keys.items())
        if isinstance(values.get("packages"), str):
            values["packages"] = values["packages"].split()
        kinds = Kernel.__annotations__
        found[name] = Kernel(**{k: checked(f"{own}.{k}", v, kinds[k]) for k, v in values.items()})
        for text in found[name].packages:
            if not parsed_requirement(text):
                raise Exit(f"{own}.packages: {text!r} is not a pip requirement")
        if found[name].venv and {"packages", "python"} & set(values):
            raise Exit(f"{own}: your own venv is never changed: remove venv, or packages and "
                       "python")  # fmt: skip
    return found


def refuse_at_odds(settings: Settings) -> None:
    """Refuse settings that contradict each other."""
    if settings.tls == "files" and not (settings.tls_certificate and settings.tls_key):
        raise Exit("lab.tls: files needs lab.tls_certificate and lab.tls_key: set both")
    names = settings.ca_names
    if (
        settings.tls == "self-signed"
        and names
        and not any(within(settings.domain, n) for n in names)
    ):
        raise Exit(f"lab.ca_names: {' '.join(names)}: lab.domain, {settings.domain}, is none of "
                   "these names, nor below one: add it")  # fmt: skip
    if settings.tls == "letsencrypt":
        provider, credentials = settings.tls_dns, settings.tls_dns_credentials
        if provider not in ("", *ROLES) and not credentials:
            raise Exit(f"lab.tls_dns: {provider} needs lab.tls_dns_credentials, a file with the "
                       "key of its API: set both")  # fmt: skip
        if provider and settings.numeric:
            raise Exit(f"lab.tls_dns: the DNS proves no address such as {settings.domain}: remove "
                       "lab.tls_dns")  # fmt: skip
        if credentials and not provider:
            raise Exit("lab.tls_dns_credentials: for whose API? Set lab.tls_dns, too")
    if settings.tls == "letsencrypt" and settings.http_port != 80 and not settings.tls_dns:
        raise Exit(
            f"lab.http_port: {settings.http_port}: Let's Encrypt connects to port 80: remove "
            "lab.http_port, or set lab.tls_dns, or choose lab.tls: self-signed or files"
        )
    if settings.tls == "letsencrypt" and not may_be_issued(settings):
        raise Exit(f"lab.domain: Let's Encrypt gives no certificate for {settings.domain!r}: set "
                   "the server's public name or address, or choose lab.tls: "
                   "self-signed")  # fmt: skip
    if settings.tls == "self-signed" and f"{settings.base_path}/".startswith("/ca/"):
        raise Exit(f"lab.base_path: {settings.base_path}: there the certificate of the private CA "
                   "is served: choose another path")  # fmt: skip
    if settings.site == "include" and not settings.base_path:
        raise Exit("lab.site: include needs lab.base_path, the path prefix of JupyterLab in that "
                   "site, such as /jupyter")  # fmt: skip
    if settings.site == "include" and settings.certified:
        raise Exit(f"lab.tls: {settings.tls}: with lab.site: include the existing site has the "
                   "certificate: choose theirs, or off if it has none")  # fmt: skip
    if settings.site == "own" and settings.tls == "theirs":
        raise Exit("lab.tls: theirs needs lab.site: include: set that, or another lab.tls")
    for name in ("cull_busy", "cull_connected"):
        if getattr(settings, name) and not settings.cull_after:
            raise Exit(f"lab.{name}: no kernel is ended without lab.cull_after: set that, too")
    if settings.port and settings.sleep_after:
        raise Exit(f"lab.port: {settings.port}: only a unix socket can wake JupyterLab: remove "
                   "lab.port or lab.sleep_after")  # fmt: skip
    if settings.secure and settings.https_port == settings.http_port:
        raise Exit(
            f"lab.https_port: {settings.https_port} is lab.http_port already: choose another"
        )


def may_be_issued(settings: Settings) -> bool:
    """Check whether the ACME server may issue a certificate.

    Another one than Let's Encrypt may know addresses that are not of the internet.
    """
    if not settings.numeric:
        return "." in settings.domain
    public = ipaddress.ip_address(settings.domain).is_global
    return public or settings.acme_server != LETS_ENCRYPT


def within(domain: str, name: str) -> bool:
    """Check whether a domain is a name, or below it."""
    return f".{domain.lower()}".endswith(f".{name.lower()}")


def uncast(config) -> dict[str, str]:
    """Return the environment's own strings where they count: Invoke casts `false` to True.

    Only a file named by -f overrides the environment.
    """
    heavier = (getattr(config, "_runtime", None) or {}).get("lab") or {}
    words = {name: os.environ.get(f"FABRIC_LAB_{name.upper()}") for name in NAMES}
    return {name: word for name, word in words.items() if word is not None and name not in heavier}


def refuse_unknown(prefix: str, given, known) -> None:
    """Refuse the first unknown key, and name the nearest known one."""
    for key in given:
        if key not in known:
            path = key if str(key).startswith(prefix) else f"{prefix}{key}"
            near = difflib.get_close_matches(str(key), [str(k) for k in known], 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
            raise Exit(f"{path}: no such setting; {hint}")
