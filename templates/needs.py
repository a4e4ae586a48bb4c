"""Who needs whom in a venv.

Usage: needs.py roots              print what was installed by name, and is needed by nothing else
       needs.py remove NAME...     uninstall, unless something that stays needs one: a line each
(runs on the server, as the user, with the python of the venv; exit 3 says that nothing was changed)
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


def needs() -> set[tuple[str, str]]:
    """Pairs of names: the first needs the second; what only an extra needs does not count."""
    return {
        (canonical(other.metadata["Name"]), canonical(text))
        for other in distributions()
        for text in other.requires or ()
        if "extra" not in text.partition(";")[2]
    }


def roots() -> int:
    """Print what was installed by name (REQUESTED, PEP 376) and is needed by nothing else."""
    needed = {name for other, name in needs() if other != name}
    requested = (
        d.metadata["Name"] for d in distributions() if d.read_text("REQUESTED") is not None
    )
    print(*sorted(set(map(canonical, requested)) - needed))
    return 0


def remove(*names: str) -> int:
    """Look, uninstall, and take the names out of what the last run has written down."""
    going = set(map(canonical, names))
    if who := sorted(
        (other, name) for other, name in needs() if name in going and other not in going
    ):
        print("\n".join(f"{other} needs {name}" for other, name in who))
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
    sys.exit({"roots": roots, "remove": remove}[sys.argv[1]](*sys.argv[2:]))
