"""Kinds of settings: each checks a value, and describes its purpose and what it accepts.

Messages about bad values, fabric.yaml and docs/settings.md are all made of these descriptions
(reference.py).
"""

import ipaddress
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # one part of a host name, RFC 1123
PATH = r"(?!.*/\.\.?(/|\Z))~?(/[\w.+@-]+)+"
HERE = "a path on your own machine"


def said(purpose: str, accepts: str, example=None, **check) -> Meta:
    """Describe a setting; the example is shown where the default says little."""
    shown = None if example is None else [example]
    return Meta(title=purpose or None, description=accepts or None, examples=shown, **check)


def text(pattern: str, purpose: str = "", accepts: str = "", example: str | None = None):
    """Declare a string that matches a pattern."""
    return Annotated[str, said(purpose, accepts, example, pattern=rf"\A(?:{pattern})\Z")]


Package = text(r"[A-Za-z0-9][^\s#].*|[A-Za-z0-9]")  # a pip requirement


def number(low: int, high: int, purpose: str, example: int | None = None, none: str = ""):
    """Declare a whole number within [low, high].

    :param none: the meaning of null, if null is accepted, too.
    """
    accepts = f"{low} to {high}" + (f", or null: {none}" if none else "")
    return Annotated[int, said(purpose, accepts, example, ge=low, le=high)]


def flag(purpose: str):
    """Declare a truth value."""
    return Annotated[bool, said(purpose, "true or false")]


def choice(*values: str, purpose: str):
    """Declare a choice between some words."""
    accepts = f"{', '.join(values[:-1])} or {values[-1]}"
    return Annotated[Literal[values], said(purpose, accepts)]


def several(kind, purpose: str, accepts: str, example: list[str] | None = None, **check):
    """Declare a list."""
    return Annotated[tuple[kind, ...], said(purpose, accepts, example, **check)]


def address(text: str) -> str:
    """Return an IP address in its shortest form, without brackets; "" for another text."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") and ":" in text else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return ""


def words(kind) -> dict:
    """Return what was declared: `title` (the purpose), `description` (accepts), `examples`."""
    schema = msgspec.json.schema(kind)
    return schema if "description" in schema else schema["anyOf"][0]


def as_yaml(value) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {as_yaml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def parsed_requirement(text: str):
    """Return a parsed pip requirement (PEP 508); None for another text."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None
