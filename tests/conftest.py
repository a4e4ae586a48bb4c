"""Options of the whole suite, and the servers of those tests that need one."""

from testbed.image import BASES

pytest_plugins = ["servers"]


def pytest_addoption(parser):
    parser.addoption(
        "--debian", choices=list(BASES), default="bookworm", help="which Debian the servers have"
    )
    parser.addoption(
        "--half",
        type=int,
        choices=[0, 1],
        help="of the modules on servers not marked `debian`, only every second one",
    )
    parser.addoption(
        "--matrix", action="store_true", help="interrupt `full` at every step, in every way"
    )
    parser.addoption(
        "--pictures", action="store_true", help="take those of docs/pictures anew, in Chromium"
    )
