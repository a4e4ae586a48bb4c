"""Options of the whole suite, and the servers of those tests that need one."""

pytest_plugins = ["servers"]


def pytest_addoption(parser):
    parser.addoption(
        "--matrix", action="store_true", help="interrupt `full` at every step, in every way"
    )
