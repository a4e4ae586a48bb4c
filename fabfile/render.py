"""Render templates to text: pure, and an error for a missing value."""

import functools
import re
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALLED = HERE / "templates"  # in a wheel they are inside the package
TEMPLATES = INSTALLED if INSTALLED.is_dir() else HERE.parent / "templates"
COMPILING = threading.Lock()  # otherwise many hosts at once would each compile every template


@functools.cache
def environment():
    """Build the Jinja environment once, when it is needed: the import is slow."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES / "files"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["unit"] = unit_value
    made.filters["regex"] = re.escape
    made.filters["python"] = lambda value: repr(str(value))  # str() refuses what is undefined
    return made


def render(template: str, **values) -> str:
    """Render a template.

    :param template: its name in `templates/files/`.
    :param values: everything the template names.
    :raises jinja2.UndefinedError: when the template names something that was not given.
    """
    with COMPILING:
        compiled = environment().get_template(template)
    return compiled.render(**values)


def file(name: str) -> str:
    """Return a file that stays on a server as it is: one of `templates/files/`."""
    return (TEMPLATES / "files" / name).read_text(encoding="utf-8")


def shell(name: str) -> str:
    """Return shell that runs on a server, by its name in `templates/shell/` without `.sh`."""
    return (TEMPLATES / "shell" / f"{name}.sh").read_text(encoding="utf-8")


def program(name: str) -> str:
    """Return Python that runs on a server, by its name in `templates/python/` without `.py`."""
    return (TEMPLATES / "python" / f"{name}.py").read_text(encoding="utf-8")


def unit_value(text: str) -> str:
    """Escape a value for a systemd unit: `%` starts a specifier there (systemd.unit(5))."""
    return text.replace("%", "%%")
