"""Ask the scheduler about its workers, as a client, and print a line of JSON.

Arguments: look | wait SECONDS NAME... | retire SECONDS NAME...     (on main, with its venv)
`wait` waits for workers that have been started; `retire` moves the data of workers to others and
waits for their tasks.
"""

import importlib.metadata
import json
import logging
import platform
import sys
import time

from dask.distributed import Client


def versions() -> dict[str, str]:
    """Return the versions of Python and of all installed packages, by canonical name."""
    import re

    found = {"python": platform.python_version()}
    for one in importlib.metadata.distributions():
        found[re.sub("[-_.]+", "-", one.metadata["Name"]).lower()] = one.version
    return found


def differing(theirs: dict[str, str], ours: dict[str, str]) -> dict[str, list]:
    """Return the packages of another version there, or missing: name -> there, here."""
    tools = {"pip", "setuptools"}
    return {
        name: [theirs.get(name), version]
        for name, version in ours.items()
        if theirs.get(name) != version and name not in tools
    }


def workers(client) -> dict[str, dict]:
    """Return what the scheduler knows of each worker, by address."""
    # not client.scheduler_info(), which may show no worker while the client updates it
    return client.sync(client.scheduler.identity, n_workers=-1)["workers"]


def look(client) -> list[dict]:
    """Return each worker's state, size and memory, and the versions that differ from ours."""
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
    """Wait until these workers are running; return those that are not."""
    end = time.monotonic() + float(seconds)
    while True:
        there = {str(one["name"]) for one in workers(client).values() if one["status"] == "running"}
        missing = [name for name in names if name not in there]
        if not missing or time.monotonic() > end:
            return missing
        time.sleep(0.2)


def retire(client, seconds: str, *names: str) -> list[str]:
    """Move the data of these workers to others and wait for their tasks; return those found."""
    known = {a: str(one["name"]) for a, one in workers(client).items() if str(one["name"]) in names}
    if len(known) < len(workers(client)):  # else no worker is left to take the data
        client.retire_workers(workers=list(known), close_workers=False, remove=False)
    end = time.monotonic() + float(seconds)
    while any(client.processing().get(one) for one in known) and time.monotonic() < end:
        time.sleep(0.2)
    return list(known.values())


def main(what: str, *more: str) -> None:
    """Run a command, and print its result as JSON."""
    logging.disable(logging.CRITICAL)
    with Client(timeout=20, set_as_default=False) as client:
        print(json.dumps({"look": look, "wait": wait, "retire": retire}[what](client, *more)))


if __name__ == "__main__":
    main(*sys.argv[1:])
