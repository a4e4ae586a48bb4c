"""Uninstall from a venv, unless something that stays needs it: exit 3 with a line for each then.

Usage: remove.py NAME...     (runs on the server, as the user, with the python of the venv)
"""

import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

NAME = re.compile(r"\+?\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def canonical(text: str) -> str:
    """The name that a requirement or a record begins with, as the index compares it (PEP 503)."""
    found = NAME.match(text)
    return re.sub("[-_.]+", "-", found[1]).lower() if found else ""


def needed(going: set[str]) -> list[str]:
    """Who of those that stay needs what of those that go; extras need nothing."""
    staying = [d for d in distributions() if canonical(d.metadata["Name"]) not in going]
    needs = (
        (other.metadata["Name"], canonical(text))
        for other in staying
        for text in other.requires or ()
        if "extra" not in text.partition(";")[2]
    )
    return sorted({f"{other} needs {name}" for other, name in needs if name in going})


def main(*names: str) -> int:
    """Look, uninstall, and take the names out of what the last run has written down."""
    going = set(map(canonical, names))
    if who := needed(going):
        print("\n".join(who))
        return 3
    pip = [sys.executable, "-m", "pip", "uninstall", "--yes", "--disable-pip-version-check"]
    subprocess.run([*pip, "--", *names], check=True)
    record = Path(sys.prefix) / ".converged"
    rows = [row for row in record.read_text().splitlines() if canonical(row) not in going]
    new = record.with_suffix(".new")
    new.write_text("".join(f"{row}\n" for row in rows))
    new.replace(record)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
