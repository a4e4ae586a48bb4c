"""Options of the whole suite, and the servers of those tests that need one."""

from testbed.image import BASES

pytest_plugins = ["areas", "servers", "snapshots"]


def pytest_addoption(parser):
    parser.addoption(
        "--debian", choices=list(BASES), help="the servers have this one, and no other"
    )
    parser.addoption(
        "--matrix", action="store_true", help="interrupt `full` at every step, in every way"
    )
    parser.addoption(
        "--units-first", action="store_true", help="the servers' images are being made meanwhile"
    )
    parser.addoption(
        "--pictures", action="store_true", help="take those of docs/pictures anew, in Chromium"
    )
