"""Read and check every setting, once.

The layers are Invoke's own (fabric.yaml, FABRIC_LAB_* in the environment, -f FILE); this module
only checks what they came to, and turns it into one immutable value.
"""

import difflib
import ipaddress
import os
from typing import Annotated, Literal

import msgspec
from invoke import Exit
from msgspec import Meta

from .credentials import Secret, given

LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
NAME = rf"(?=.{{1,253}}\Z)({LABEL}\.)*{LABEL}"
FLOOR = "jupyter_server>=2.20.0"  # older ones have a critical hole, CVE-2026-44727


def text(pattern: str, meaning: str):
    """Declare a string setting: the pattern it must match, and what it means in words."""
    return Annotated[str, Meta(pattern=rf"\A(?:{pattern})\Z", description=meaning)]


def number(low: int, high: int, meaning: str):
    """Declare a whole-number setting within [low, high]."""
    return Annotated[int, Meta(ge=low, le=high, description=f"{meaning}; {low} to {high}")]


Path = r"(?!.*/\.\.?(/|\Z))~?(/[\w.+@-]+)+"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every knob under `lab:`, with its default; the descriptions are what a bad value is told."""

    domain: text(NAME, "the host name people type, such as lab.example.org") = (
        "jupyterlab.vmdomain.io"
    )
    user: text(r"|[a-z_][a-z0-9_.-]*", "whose JupyterLab it is, when that is not the one of -H") = (
        ""
    )
    project: text(
        Path, "the folder of the notebooks, ~/NAME or an absolute path without spaces"
    ) = "~/project"
    packages: Annotated[
        tuple[text(r"[A-Za-z0-9][^\s#].*|[A-Za-z0-9]", "a pip requirement"), ...],
        Meta(min_length=1, description="a list of pip requirements for the venv, at least one"),
    ] = ("jupyter",)
    installer: Annotated[
        Literal["uv", "pip"], Meta(description="uv (fast) or pip (plain); uv falls back to pip")
    ] = "uv"
    system_packages: Annotated[
        tuple[text(r"[a-z0-9][a-z0-9+.-]+", "a Debian package name"), ...],
        Meta(description="a list of further Debian packages, such as git or build-essential"),
    ] = ()
    recommends: Annotated[
        bool, Meta(description="true or false: install what the Debian packages recommend, too")
    ] = False
    port: number(1024, 65535, "a loopback port for JupyterLab, or null: a unix socket") | None = (
        None
    )
    http_port: number(1, 65535, "the port on which Nginx serves the site") = 80
    upload_limit: text(r"[1-9]\d*[kmg]", "the largest request body, such as 64m or 2g") = "64m"
    read_timeout: number(60, 604800, "seconds that Nginx waits for a silent answer") = 86400
    start_timeout: number(5, 600, "seconds that JupyterLab may take until it answers") = 60
    hosts_file: text(r".+", "the operator's own hosts file, a path") = "/etc/hosts"
    address: text(
        r"[0-9A-Fa-f.:]*", "the IP for the hosts line; empty: the one of the SSH peer"
    ) = ""
    host_key: text(
        r"ask|accept-new|strict|SHA256:[A-Za-z0-9+/]{43}",
        "ask, accept-new, strict, or the server's fingerprint, SHA256:...",
    ) = "ask"
    known_hosts: text(r".+", "the known_hosts file, a path") = "~/.ssh/known_hosts"
    connect_timeout: number(1, 600, "seconds until a silent server is given up") = 10
    boot_wait: number(0, 600, "seconds to try again while a server starts and has no sshd yet") = 5
    anew: str = ""  # a stamp: make the venv anew, unless that has been done under this stamp
    password: Secret | None = None  # from LAB_PASSWORD or a prompt, never from a file

    @property
    def venv(self) -> str:
        """The virtual environment, inside the project as the how-to has it."""
        return f"{self.project}/venv"

    @property
    def requirements(self) -> tuple[str, ...]:
        """What goes into the venv: the chosen packages, and never a server with a known hole."""
        return (*self.packages, FLOOR)

    @property
    def url(self) -> str:
        """Where people find it."""
        return f"http://{self.domain}" + ("" if self.http_port == 80 else f":{self.http_port}")


NAMES = tuple(n for n in Settings.__struct_fields__ if n not in ("anew", "password"))
DEFAULTS = {"hosts": None, "groups": {}, "lab": dict.fromkeys(NAMES)}


def meaning(name: str) -> str:
    """Say in words what a setting accepts."""
    schema = msgspec.json.schema(Settings.__annotations__[name])
    return schema.get("description") or schema["anyOf"][0]["description"]


def load(config) -> Settings:
    """Check the `lab:` part of an Invoke/Fabric config.

    :param config: the context's `config`; None means "not set" there, so the environment's
        strings arrive uncast and `FABRIC_LAB_RECOMMENDS=false` is false.
    :raises Exit: with the setting's path, its value and what is accepted.
    """
    named = getattr(config, "_runtime_path", None)
    if named and not os.path.exists(named):  # Invoke would go on without it
        raise Exit(f"-f {named}: no such file")
    known_at_top = set(type(config).global_defaults()) | set(DEFAULTS)
    refuse_unknown("", config, known_at_top)
    given_here = config["lab"]
    if not hasattr(given_here, "keys"):
        raise Exit(
            f"lab: {given_here!r} is not a group of settings: write `lab:` and indented lines"
        )
    if "password" in given_here:
        raise Exit("lab.password: a password is not for a file: put it into LAB_PASSWORD")
    refuse_unknown("lab.", given_here, NAMES)
    variables = (name for name in os.environ if name.startswith("FABRIC_LAB_"))
    refuse_unknown("FABRIC_LAB_", variables, [f"FABRIC_LAB_{name.upper()}" for name in NAMES])
    chosen = {name: given_here[name] for name in NAMES if given_here[name] is not None}
    chosen |= uncast(config)
    for name in ("packages", "system_packages"):  # a list from the environment: words
        if isinstance(chosen.get(name), str):
            chosen[name] = chosen[name].split()
    values = {}
    for name, value in chosen.items():
        kind = Settings.__annotations__[name]
        try:
            values[name] = msgspec.convert(value, kind, strict=not isinstance(value, str))
        except msgspec.ValidationError:
            raise Exit(f"lab.{name}: {value!r} is not accepted; give {meaning(name)}") from None
    if values.get("address"):
        try:
            ipaddress.ip_address(values["address"])
        except ValueError:
            raise Exit(
                f"lab.address: {values['address']!r} is not accepted; give {meaning('address')}"
            ) from None
    return Settings(**values, password=given())


def uncast(config) -> dict[str, str]:
    """Give the environment's own words where they count: Invoke casts `false` to True.

    Only a file named by -f has more weight than the environment.
    """
    heavier = (getattr(config, "_runtime", None) or {}).get("lab") or {}
    words = {name: os.environ.get(f"FABRIC_LAB_{name.upper()}") for name in NAMES}
    return {name: word for name, word in words.items() if word is not None and name not in heavier}


def refuse_unknown(prefix: str, given, known) -> None:
    """Refuse the first key that is not known, naming the nearest one that is."""
    for key in given:
        if key not in known:
            path = key if str(key).startswith(prefix) else f"{prefix}{key}"
            near = difflib.get_close_matches(str(key), [str(k) for k in known], 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
            raise Exit(f"{path}: no such setting; {hint}")
