"""Find out which packages of a venv need which, and uninstall packages.

Usage: dependencies.py roots [FOLDER]
           print `root NAME` for each that was installed by name and that no other needs,
           `elsewhere NAME` for each that is of no index; of FOLDER, if the venv's Python is gone
       dependencies.py remove NAME...     uninstall, or print what else needs a package
(runs on the server, as the user, with the python of the venv; exit 3 says that nothing was changed)
"""

import contextlib
import re
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

NAME = re.compile(r"\+?\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def canonical(text: str) -> str:
    """Return the name that a requirement or record begins with, as indexes compare it (PEP 503)."""
    found = NAME.match(text)
    return re.sub("[-_.]+", "-", found[1]).lower() if found else ""


def needs(there: list[Distribution]) -> set[tuple[str, str]]:
    """Return pairs of names: the first needs the second, also for an extra that is in use."""
    from pip._vendor.packaging.requirements import InvalidRequirement, Requirement

    pairs = []
    for one in there:
        for text in one.requires or ():
            with contextlib.suppress(InvalidRequirement):
                pairs.append((canonical(one.metadata["Name"]), Requirement(text)))
    asked: dict[str, set[str]] = {}  # name -> its extras that are in use here
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


def roots(*folder: str) -> int:
    """Print packages installed by name (REQUESTED, PEP 376) and from elsewhere (PEP 610)."""
    found = distributions(path=folder) if folder else distributions()
    there = [
        one for one in found if one.metadata and one.metadata["Name"]
    ]  # the others are damaged
    needed = {name for one, name in needs(there) if one != name}
    for one in there:
        name = canonical(one.metadata["Name"])
        if one.read_text("direct_url.json") is not None:
            print("elsewhere", name)
        elif one.read_text("REQUESTED") is not None and name not in needed:
            print("root", name)
    return 0


def remove(*names: str) -> int:
    """Uninstall packages that no other needs, and remove them from the record of the last run."""
    going = set(map(canonical, names))
    pairs = needs(list(distributions()))
    who = sorted((one, name) for one, name in pairs if name in going and one not in going)
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
