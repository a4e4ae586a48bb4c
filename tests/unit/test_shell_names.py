"""The shell that lands on a server is one script: no function of it may hide another."""

import re
from collections import Counter

from fabfile.engine import plan
from fabfile.render import TEMPLATES, shell

COMMENT = re.compile(r"^ *#.*\n", re.MULTILINE)
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
