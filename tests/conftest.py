"""Options of the whole suite."""


def pytest_addoption(parser):
    parser.addoption(
        "--matrix", action="store_true", help="interrupt `full` at every step, in every way"
    )
