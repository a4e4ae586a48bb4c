"""The shell that lands on a server is one script: no function of it may hide another."""

import re
from collections import Counter

import pytest

from fabfile.engine import plan
from fabfile.render import TEMPLATES, shell

COMMENT = re.compile(r"^ *#.*\n", re.MULTILINE)
# What functions set for others, beyond what is set at the top of a file.
SHARED = {
    "mark", "stats", "units", "packages", "line", "account", "home",  # what read.sh was told
    "before", "unfinished", "written", "dated", "run", "beside",  # a run
    "part", "archive", "well", "at_home", "builder", "place",  # what a trap needs
    "way_hand", "way_shared", "way_planted", "way_true", "way_gone",  # the results of walk
    "own", "former",  # the results of find_python
    "project", "by", "code",  # of find_place and attempt
    "work", "summing", "deadline",  # a backup
}  # fmt: skip
FILES = [*(TEMPLATES / "shell").rglob("*.sh"), TEMPLATES / "files/backup/backup.sh"]
FILES.remove(TEMPLATES / "shell/lib/whose.sh")  # it has no functions
FUNCTION = re.compile(r"^(\w+)\(\) \{.*\n((?:.*\n)*?)\}$", re.MULTILINE)
BECOMING = re.compile(r"runuser -u|setpriv --reuid")


def test_no_two_functions_have_the_same_name():
    text = shell("lib/read") + plan.applying() + shell("lib/uninstall") + shell("lib/inventory")
    names = Counter(re.findall(r"^(\w+)\(\) \{", text, re.MULTILINE))
    assert len(names) > 50
    assert [name for name, times in names.items() if times > 1] == []


def test_no_function_takes_the_name_of_a_variable_of_all():
    text = plan.applying()
    shared = re.findall(r"^(\w+)=", text, re.MULTILINE)
    assert {"kept", "lock", "made", "ledger"} <= set(shared)
    for name in shared:
        assert not re.search(rf"^ +(for|read -r) {name}\b", text, re.MULTILINE), name


def left_out(body: str) -> set[str]:
    """The variables that a function sets without declaring them."""
    body = re.sub(r"<<'END'\n(.*\n)*?END", "", body.replace("\\\n", ""))
    body = re.sub(r"'[^']*'", "''", re.sub(r"(^| )#.*", "", body, flags=re.MULTILINE))
    declared = " ".join(re.findall(r"\blocal (.*)", body))
    body = re.sub(r"\blocal .*", "", body)
    found = re.findall(r"(?:^ *|[;&({)] ?|[;&({)] \w+=\S* )(\w+)=", body, re.MULTILINE)
    found += re.findall(r"\bfor (\w+)(?: in|;)", body)
    found += " ".join(re.findall(r"\bread -r ([\w ]+)", body)).split()
    found = [name for name in found if not name.isupper()]  # those are for a command
    return set(found) - set(re.findall(r"(?<!\$)\b(\w+)", declared))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_function_declares_what_it_uses_for_itself(path):
    shared = SHARED | {"_"}
    for other in (path, *FILES[0].parent.parent.glob("lib/*.sh")):
        shared |= set(re.findall(r"^(\w+)=", other.read_text(), re.MULTILINE))
    functions = FUNCTION.findall(path.read_text())
    assert functions
    found = {name: left_out(body) - shared for name, body in functions}
    assert {name: names for name, names in found.items() if names} == {}


def test_nobody_who_is_not_root_gets_the_locks():
    """Who has a lock's descriptor holds the lock, also when the run has ended."""
    texts = {path.name: COMMENT.sub("", path.read_text()) for path in TEMPLATES.rglob("*.sh")}
    becoming = {
        name: [text.find("8>&- 9>&-", m.start()) - m.start() for m in BECOMING.finditer(text)]
        for name, text in texts.items()
    }
    # as nobody, and as Nginx; without a lock of root's
    assert len(becoming.pop("audit.sh")) == len(becoming.pop("doctor.sh")) == 1
    used = {name: ends for name, ends in becoming.items() if ends}
    # one function does it for all; what travels alone has the like of it
    assert {name: len(ends) for name, ends in used.items()} == {
        "users.sh": 2, "read.sh": 1, "backup.sh": 1,
    }  # fmt: skip
    assert all(0 < end < 1800 for ends in used.values() for end in ends), used


def test_nobody_who_is_not_root_gets_the_environment_of_root():
    for name in ("lib/users", "lib/read"):
        assert re.search(r"cleanly [^\n]*(\\\n)?[^\n]*timeout -k", shell(name)), name
