"""What a fleet's threads do at the same moment, for the first time in a process."""

import re
import subprocess
import sys

import pytest

from testbed.machine import ROOT

AT_ONCE = """
import sys, threading
sys.setswitchinterval(1e-6)
{ready}
gate = threading.Barrier(16)
found = []

def decode():
    gate.wait()
    found.append({call})

threads = [threading.Thread(target=decode) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(found) == 16 and all(found), found
"""
STATUS = """
from fabfile.items.runtime import Live
from fabfile.settings.names import Endpoint
ANSWER = (
    '{"now": 1, "service": {"memory": 1, "memory_limit": 2, "cpu": 1.0, "tasks": 3}, "newest": {}, '
    '"server": {"memory": 1, "cpu": 2}, "kernels": [], "terminals": 0}'
)
item = Live(endpoint=Endpoint(port=8888), unit="lab.service", token="t", project="p", venv="v")
"""
KERNEL = """
from fabfile.kernels import offered
ANSWER = '{"name": "r", "title": "R", "what": "there"}'
"""


@pytest.mark.parametrize(
    ("ready", "call"),
    [(STATUS, 'item.parse(["", ANSWER]).get("now")'), (KERNEL, "offered(ANSWER)")],
    ids=["status", "kernels"],
)
def test_many_threads_decode_at_first_and_none_crashes(ready, call):
    for _ in range(5):  # without a decoder made beforehand, three of four processes crashed
        text = AT_ONCE.format(ready=ready, call=call)
        done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True)
        assert done.returncode == 0, (done.returncode, done.stderr.decode())


def test_no_class_is_decoded_into_without_a_decoder():
    pattern = re.compile(r"msgspec\.\w+\.decode\(")
    assert [p for p in ROOT.glob("fabfile/**/*.py") if pattern.search(p.read_text())] == []
