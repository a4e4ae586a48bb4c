"""The shell that lands on a server is one script: no function of it may hide another."""

import re
from collections import Counter

from fabfile import plan
from fabfile.render import shell


def test_no_two_functions_have_the_same_name():
    text = shell("read.sh") + plan.applying() + shell("uninstall.sh") + shell("inventory.sh")
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
    text = shell("read.sh") + plan.applying() + shell("uninstall.sh") + shell("backup.sh")
    text = re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE)
    becoming = [m.start() for m in re.finditer(r"runuser -u|setpriv --reuid", text)]
    assert len(becoming) >= 5
    ends = [text.find("8>&- 9>&-", at) - at for at in becoming]
    assert all(0 < end < 800 for end in ends), ends
