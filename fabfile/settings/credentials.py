"""Passwords: hidden from all output, and hashed as Jupyter hashes them."""

import hashlib
import os
import re
import sys

from invoke import Exit


class Secret:
    """A text that no format, log or traceback prints; only `reveal()` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str):
        self._text = text

    def __repr__(self) -> str:
        return "***"

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text


def check(text: str) -> Secret:
    """Return a password as the login page takes it: without blanks at both ends.

    :raises Exit: for an empty password, or one with control characters.
    """
    if not text.strip():
        raise Exit("the password is empty: set LAB_PASSWORD to one, or unset it to use the token")
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text):
        raise Exit("the password has a line break or control character: choose another")
    return Secret(text.strip())


USUAL = re.compile(r"(passwo?r[dt]|jupyter|lab|admin|qwert[yz]|welcome|changeme)*")


def weakness(password: Secret) -> str:
    """Return why a password is easy to guess; "" when nothing is found."""
    text = password.reveal()
    if len(text) < 10:
        return "it has fewer than 10 characters"
    if len(set(text)) < 5:
        return "it has few different characters"
    if text.isascii() and USUAL.fullmatch(re.sub("[^a-z]", "", text.lower())):
        return "it is a usual word or a number"
    return ""


def given() -> Secret | None:
    """Return the password from LAB_PASSWORD; None when that is not set."""
    text = os.environ.get("LAB_PASSWORD")
    return None if text is None else check(text)


def ask() -> Secret:
    """Ask for a password twice, without showing it."""
    import getpass

    if not sys.stdin.isatty():
        raise Exit("there is no terminal to ask for the password: set LAB_PASSWORD")
    first = check(getpass.getpass("New password for JupyterLab: "))
    if check(getpass.getpass("Once more: ")).reveal() != first.reveal():
        raise Exit("the two passwords are not the same; nothing was changed: run again")
    return first


def given_ca_passphrase() -> Secret | None:
    """Return the passphrase of the private CA from LAB_CA_PASSPHRASE; None when that is not set."""
    text = os.environ.get("LAB_CA_PASSPHRASE")
    if text == "":
        raise Exit("LAB_CA_PASSPHRASE is empty: set it to the passphrase, or unset it")
    return None if text is None else Secret(text)


def ca_passphrase(key) -> Secret:
    """Return the passphrase from LAB_CA_PASSPHRASE, or ask for it without showing it.

    :param key: the key file that it opens.
    :raises Exit: when there is no terminal to ask on.
    """
    import getpass

    from ..ui.console import may_ask

    given = given_ca_passphrase()
    if not given and not may_ask():
        raise Exit(f"{key} is needed to sign a certificate, but has a passphrase: put it into "
                   "LAB_CA_PASSPHRASE")  # fmt: skip
    return given or Secret(getpass.getpass(f"Passphrase of {key}: "))


LONGEST = 500  # characters of a hash: Jupyter's have about 100


def hasher():
    """Return Argon2id with jupyter_server's parameters (jupyter_server/auth/security.py)."""
    from argon2 import PasswordHasher

    return PasswordHasher(memory_cost=10240, time_cost=10, parallelism=8)


def hash_password(password: Secret) -> str:
    """Return the hash of a password in the form that Jupyter reads, `argon2:...`."""
    return f"argon2:{hasher().hash(password.reveal())}"


def fits(password: Secret, hashed: str) -> bool:
    """Check a password against Jupyter's hash: argon2, or the older `algorithm:salt:digest`.

    The hash comes from a server: one that would cost much memory or time is not Jupyter's.
    """
    if not isinstance(hashed, str) or len(hashed) > LONGEST:
        return False
    if hashed.startswith("argon2:"):
        from argon2 import extract_parameters
        from argon2.exceptions import InvalidHashError, VerificationError

        hashed = hashed.removeprefix("argon2:")
        try:
            its = extract_parameters(hashed)
            dear = its.memory_cost > 65536 or its.time_cost > 20 or its.parallelism > 16  # KiB
            return not dear and hasher().verify(hashed, password.reveal())
        except (VerificationError, InvalidHashError, ValueError):
            return False
    algorithm, _, rest = hashed.partition(":")
    salt, _, digest = rest.partition(":")
    odd = algorithm.startswith("shake")  # its digests have no fixed length
    if odd or algorithm not in hashlib.algorithms_available or not digest:
        return False
    salted = password.reveal().encode() + salt.encode("ascii", "replace")
    return hashlib.new(algorithm, salted).hexdigest() == digest
