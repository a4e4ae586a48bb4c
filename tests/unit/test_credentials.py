"""A password is never shown, and its hash is Jupyter's own, kept where Jupyter keeps it."""

import base64
import copy
import dataclasses
import hashlib
import json
import pprint
import time
import traceback
from types import SimpleNamespace

import pytest
from invoke import Exit
from states import compared

from fabfile.items import Change, Password
from fabfile.settings.credentials import Secret, fits, hash_password, weakness
from fabfile.ui import console

GOOD = "korrekt pferd ß"


def old(text: str, algorithm: str = "sha1") -> str:
    """The form that older Jupyters wrote."""
    digest = hashlib.new(algorithm, text.encode() + b"c0ffee").hexdigest()
    return f"{algorithm}:c0ffee:{digest}"


ARGON = hash_password(Secret(GOOD))


SALT = "c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"


@pytest.mark.parametrize(
    "hashed, password, right",
    [
        (ARGON, GOOD, True),
        (ARGON, "falsch", False),
        (ARGON, GOOD + " ", False),
        (old(GOOD), GOOD, True),
        (old(GOOD, "sha256"), GOOD, True),
        (old(GOOD), "falsch", False),
        ("", GOOD, False),
        ("", "", False),
        ("argon2:", GOOD, False),
        ("argon2:$argon2id$broken", GOOD, False),
        (f"argon2:$argon2id$v=19$m=4000000,t=3,p=1${SALT}", GOOD, False),
        (f"argon2:$argon2id$v=19$m=10240,t=4294967295,p=1${SALT}", GOOD, False),
        (f"argon2:$argon2id$v=19$m=10240,t=10,p=200${SALT}", GOOD, False),
        (7, GOOD, False),
        ("x" * 10**6, GOOD, False),
        ("sha1:", GOOD, False),
        ("sha1:c0ffee:", GOOD, False),
        ("nosuch:c0ffee:abc", GOOD, False),
    ],
)
def test_a_hash_fits_its_password_only(hashed, password, right):
    assert fits(Secret(password), hashed) is right


def test_the_hash_is_the_one_that_jupyter_makes():
    assert ARGON.startswith("argon2:$argon2id$v=19$m=10240,t=10,p=8$")
    assert hash_password(Secret(GOOD)) != ARGON  # salted


@dataclasses.dataclass
class Holder:
    held: Secret


def told_by_traceback(secret: Secret) -> str:
    try:
        raise ValueError(secret)
    except ValueError as problem:
        lines = traceback.TracebackException.from_exception(problem, capture_locals=True).format()
        return "".join(lines)


@pytest.mark.parametrize(
    "show",
    [
        repr, str, "{}".format, "{!r}".format, "{!s}".format, "%s".__mod__, pprint.pformat,
        lambda secret: f"{[secret]} {(secret,)} {({'x': secret})}",
        lambda secret: repr(Holder(secret)),
        lambda secret: repr(dataclasses.asdict(Holder(secret))),
        lambda secret: repr(vars(Holder(copy.deepcopy(secret)))),
        lambda secret: repr(Password(path="/x", stamp="/s", password=secret)),
        told_by_traceback,
    ],
)  # fmt: skip
def test_a_secret_is_never_shown(show):
    told = show(Secret(GOOD))
    assert "***" in told
    assert "pferd" not in told


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("c.ServerApp.password = 'pferd'", "c.ServerApp.password = ***"),
        ('Environment="JUPYTER_TOKEN=pferd"', 'Environment="JUPYTER_TOKEN=***'),
        ('"hashed_password": "argon2:pferd"', '"hashed_password": ***'),
        ('Environment="JUPYTER_TOKEN_FILE=/x/y"', 'Environment="JUPYTER_TOKEN_FILE=/x/y"'),
        ("c.ServerApp.cookie_secret_file = '/x/y'", "c.ServerApp.cookie_secret_file = '/x/y'"),
    ],
)
def test_a_diff_shows_no_secret_but_where_one_is(capsys, line, seen):
    console.Report("").diff(Change("it", "", before="x", after=f"x\n{line}"))
    assert capsys.readouterr().out.splitlines()[-1].strip() == f"+{seen}"


@pytest.mark.parametrize("text", ["token" * 200_000, "token" * 15_000, "secret " + " " * 90_000])
def test_the_diff_of_a_file_that_is_made_to_take_long_takes_no_time(capsys, text):
    began = time.monotonic()
    console.Report("").diff(Change("it", "", before=text, after="x"))
    assert time.monotonic() - began < 1
    assert max(map(len, capsys.readouterr().out.splitlines())) < 2100


def test_a_secret_has_no_vars_and_no_json():
    with pytest.raises(TypeError):
        vars(Secret(GOOD))
    with pytest.raises(TypeError):
        json.dumps(Secret(GOOD))


# --- the file ----------------------------------------------------------------------------------


def compare(text: str | None, password: str | None = GOOD):
    lines = ["absent"]
    if text is not None:
        lines = ["regular file|d|d|600", base64.b64encode(text.encode()).decode()]
    secret = password and Secret(password)
    item = Password(path="/login.json", stamp="/token", owner="d", group="d", password=secret)
    return compared(item, lines, set())


def provider(hashed) -> str:
    return json.dumps({"IdentityProvider": {"hashed_password": hashed}})


@pytest.mark.parametrize("text", [provider(ARGON), provider(old(GOOD))])
def test_the_same_password_changes_nothing(text):
    assert compare(text) is None  # a new hash would log everybody out


@pytest.mark.parametrize("text", [None, "", "{}", provider(ARGON), provider(None)])
def test_without_a_password_nothing_changes(text):
    assert compare(text, None) is None


@pytest.mark.parametrize(
    "text",
    [
        None, "", "{}", provider(""), provider(None), provider(hash_password(Secret("other"))),
        '{"IdentityProvider": {}}', '{"ServerApp": null}',
    ],
)  # fmt: skip
def test_another_password_is_set_and_shows_nowhere(text):
    change = compare(text)
    assert change.say == "set the password"
    assert "pferd" not in repr(change)
    assert change.before == change.after
    config = json.loads(change.shell.split("<<'END'\n")[1].removesuffix("END"))
    assert fits(Secret(GOOD), config["IdentityProvider"]["hashed_password"])


def test_the_other_keys_stay_and_the_older_names_of_this_one_go():
    there = {
        "IdentityProvider": {"hashed_password": "", "cookie_secure": True},
        "ServerApp": {"password": "x", "port": 1},
        "PasswordIdentityProvider": {"hashed_password": "x", "password_required": True},
        "LabApp": {"ü": [1, None]},
    }
    change = compare(json.dumps(there))
    config = json.loads(change.shell.split("<<'END'\n")[1].removesuffix("END"))
    assert config["IdentityProvider"].pop("hashed_password")
    assert config == {
        "IdentityProvider": {"cookie_secure": True},
        "ServerApp": {"port": 1},
        "PasswordIdentityProvider": {"password_required": True},
        "LabApp": {"ü": [1, None]},
    }


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "5", '{"IdentityProvider": "x"}', "\ufffd"])
def test_a_file_that_is_no_json_object_is_refused(text):
    with pytest.raises(Exit, match=r"^/login\.json is not valid JSON: correct it or move it away"):
        compare(text)


def test_a_file_that_cannot_be_read_is_not_taken_for_an_empty_one():
    item = Password(path="/login.json", stamp="/token", password=Secret(GOOD))
    with pytest.raises(Exit, match=r"/login\.json"):
        compared(item, ["regular file|root|root|600", "!"], set())


@pytest.mark.parametrize("whole", [False, True])
def test_a_plan_has_a_line_for_a_new_file_and_its_text_when_asked(capsys, whole):
    new = Change("write /new", "", before="", after="proxy_pass\n")
    old = Change("replace /old", "", before="then\n", after="now\n")
    console.Report("").plan(SimpleNamespace(name="Debian"), [new, old], 9, {}, whole)
    said = capsys.readouterr().out
    assert "would write /new" in said and "+now" in said
    assert ("+proxy_pass" in said) == whole


@pytest.mark.parametrize(
    "text, why",
    [
        ("correct horse", ""),
        ("battery staple", ""),
        ("Zw3i-Kuehe-7", ""),
        ("x8#kQ2!pLm", ""),
        ("short1!", "fewer than 10"),
        ("aaaaaaaabbbb", "few different"),
        ("1234567890", "a usual word or a number"),
        ("Password2026!", "a usual word"),
        ("JupyterLab_123", "a usual word"),
        ("Passw0rd-2026", "a usual word"),
        ("пароль-пароль", ""),
    ],
)
def test_a_weak_password_is_told_why(text, why):
    told = weakness(Secret(text))
    assert why in told and bool(told) == bool(why)
