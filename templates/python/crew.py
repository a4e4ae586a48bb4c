"""Ask the scheduler about its workers, as a client; a line of JSON.

Usage: crew.py look | wait SECONDS NAME... | retire SECONDS NAME...     (on main, by its venv)
`wait` is for workers that have been started, `retire` moves away what one holds, and waits for what
it computes.
"""

import importlib.metadata
import json
import logging
import platform
import sys
import time

from dask.distributed import Client


def versions() -> dict[str, str]:
    """Python's and those of all that is installed, by canonical name."""
    import re

    found = {"python": platform.python_version()}
    for one in importlib.metadata.distributions():
        found[re.sub("[-_.]+", "-", one.metadata["Name"]).lower()] = one.version
    return found


def differing(theirs: dict[str, str], ours: dict[str, str]) -> dict[str, list]:
    """What is of another version there, or missing: name -> there, here."""
    tools = {"pip", "setuptools"}
    return {
        name: [theirs.get(name), version]
        for name, version in ours.items()
        if theirs.get(name) != version and name not in tools
    }


def workers(client) -> dict[str, dict]:
    """What the scheduler knows of each: by address."""
    # not client.scheduler_info(), in which an update of the client's own may leave no worker
    return client.sync(client.scheduler.identity, n_workers=-1)["workers"]


def look(client) -> list[dict]:
    """Each worker: its state, its size, what it holds, and which versions differ from ours."""
    ours, told = versions(), client.run(versions, on_error="return")
    return [
        {
            "name": str(one["name"]),
            "state": one["status"],
            "threads": one["nthreads"],
            "limit": one["memory_limit"],
            "used": one["metrics"].get("memory", 0),
            "differs": differing(told[address], ours)
            if isinstance(told.get(address), dict)
            else None,
        }
        for address, one in workers(client).items()
    ]


def wait(client, seconds: str, *names: str) -> list[str]:
    """Wait until those are there; give the ones that are not."""
    end = time.monotonic() + float(seconds)
    while True:
        there = {str(one["name"]) for one in workers(client).values() if one["status"] == "running"}
        missing = [name for name in names if name not in there]
        if not missing or time.monotonic() > end:
            return missing
        time.sleep(0.2)


def retire(client, seconds: str, *names: str) -> list[str]:
    """Have what these hold moved to others, and wait for what they compute; give those that did."""
    known = {a: str(one["name"]) for a, one in workers(client).items() if str(one["name"]) in names}
    if len(known) < len(workers(client)):  # the last ones have nobody to give it to
        client.retire_workers(workers=list(known), close_workers=False, remove=False)
    end = time.monotonic() + float(seconds)
    while any(client.processing().get(one) for one in known) and time.monotonic() < end:
        time.sleep(0.2)
    return list(known.values())


def main(what: str, *more: str) -> None:
    """Do it, and print what came of it."""
    logging.disable(logging.CRITICAL)
    with Client(timeout=20, set_as_default=False) as client:
        print(json.dumps({"look": look, "wait": wait, "retire": retire}[what](client, *more)))


if __name__ == "__main__":
    main(*sys.argv[1:])
