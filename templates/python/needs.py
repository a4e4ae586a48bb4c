"""Who needs whom in a venv.

Usage: needs.py roots              print `root NAME` for what was installed by name and is needed by
                                   nothing else, `elsewhere NAME` for what came from no index
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
    """Pairs of names: the first needs the second here, also for an extra that somebody needs."""
    from pip._vendor.packaging.requirements import Requirement

    pairs = [
        (canonical(one.metadata["Name"]), Requirement(text))
        for one in distributions()
        for text in one.requires or ()
    ]
    asked: dict[str, set[str]] = {}  # name -> its extras that somebody here needs
    while True:
        held = [
            (one, wanted)
            for one, wanted in pairs
            if wanted.marker is None
            or any(wanted.marker.evaluate({"extra": extra}) for extra in asked.get(one, {""}))
        ]
        known = asked
        asked = {}
        for _, wanted in held:
            asked.setdefault(canonical(wanted.name), {""}).update(wanted.extras)
        if asked == known:  # an extra may need further ones
            return {(one, canonical(wanted.name)) for one, wanted in held}


def roots() -> int:
    """Print what was installed by name (REQUESTED, PEP 376), and what from elsewhere (PEP 610)."""
    needed = {name for one, name in needs() if one != name}
    for one in distributions():
        name = canonical(one.metadata["Name"])
        if one.read_text("direct_url.json") is not None:
            print("elsewhere", name)
        elif one.read_text("REQUESTED") is not None and name not in needed:
            print("root", name)
    return 0


def remove(*names: str) -> int:
    """Look, uninstall, and take the names out of what the last run has written down."""
    going = set(map(canonical, names))
    who = sorted((one, name) for one, name in needs() if name in going and one not in going)
    if who:
        print("\n".join(f"{one} needs {name}" for one, name in who))
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
