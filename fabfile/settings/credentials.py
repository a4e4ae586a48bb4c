"""Passwords: held so that they cannot be printed, hashed as Jupyter hashes them."""

import hashlib
import os
import re
import sys

from invoke import Exit


class Secret:
    """A text that no format, log or traceback prints; only `reveal()` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str):
        self._text = text

    def __repr__(self) -> str:
        return "***"

    def reveal(self) -> str:
        """The text itself."""
        return self._text


def check(text: str) -> Secret:
    """Accept what the login page can accept, too: it strips blanks and knows no control characters.

    :raises Exit: with the reason and the remedy.
    """
    if not text.strip():
        raise Exit("the password is empty: set LAB_PASSWORD to one, or unset it to use the token")
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text):
        raise Exit("the password has a line break or control character: choose one without")
    return Secret(text.strip())


def given() -> Secret | None:
    """Take the password from LAB_PASSWORD, if the environment has it."""
    text = os.environ.get("LAB_PASSWORD")
    return None if text is None else check(text)


def ask() -> Secret:
    """Ask for a password twice, unseen."""
    import getpass

    if not sys.stdin.isatty():
        raise Exit("no terminal to ask on: give the password in the environment, LAB_PASSWORD")
    first = check(getpass.getpass("New password for JupyterLab: "))
    if check(getpass.getpass("Once more: ")).reveal() != first.reveal():
        raise Exit("the two are not the same; nothing was changed")
    return first


def given_ca_passphrase() -> Secret | None:
    """Take the passphrase of the private CA from LAB_CA_PASSPHRASE, if the environment has it."""
    text = os.environ.get("LAB_CA_PASSPHRASE")
    if text == "":
        raise Exit("LAB_CA_PASSPHRASE is empty: set it to the passphrase, or unset it")
    return None if text is None else Secret(text)


def ca_passphrase(key) -> Secret:
    """Take the passphrase from LAB_CA_PASSPHRASE, or ask for it, unseen.

    :param key: the file that it opens.
    :raises Exit: when nobody can be asked.
    """
    import getpass

    from ..ui.console import may_ask

    given = given_ca_passphrase()
    if not given and not may_ask():
        raise Exit(f"{key} has a passphrase, and something is to be signed: give it in the "
                   "environment, LAB_CA_PASSPHRASE")  # fmt: skip
    return given or Secret(getpass.getpass(f"Passphrase of {key}: "))


LONGEST = 500  # letters of a hash: Jupyter's have a hundred


def hasher():
    """Argon2id with the parameters that jupyter_server uses (jupyter_server/auth/security.py)."""
    from argon2 import PasswordHasher

    return PasswordHasher(memory_cost=10240, time_cost=10, parallelism=8)


def hash_password(password: Secret) -> str:
    """Hash a password into the form `argon2:...` that Jupyter reads."""
    return f"argon2:{hasher().hash(password.reveal())}"


def fits(password: Secret, hashed: str) -> bool:
    """Check a password against Jupyter's hash: argon2, or the older `algorithm:salt:digest`.

    The hash comes from a server: one that would take much of this machine is none of Jupyter's.
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
    odd = algorithm.startswith("shake")  # whose digest has no length of its own
    if odd or algorithm not in hashlib.algorithms_available or not digest:
        return False
    salted = password.reveal().encode() + salt.encode("ascii", "replace")
    return hashlib.new(algorithm, salted).hexdigest() == digest
