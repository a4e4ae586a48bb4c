"""Install into a venv: with uv by this server's pip.conf, or with pip where uv cannot be used.

Usage: install.py VENV uv|pip REPAIR FLOORS REQUIREMENT...     (runs on the server, as the user)
REPAIR is `again` to reinstall what is there, `see` to only print what would be installed, `newer`
to do so with all upgrades, else `no`. FLOORS are minimum versions, for dependencies as well.
The operator sees the line that begins with `note: uv`.
"""

import ast
import glob
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from subprocess import PIPE, STDOUT

SYSTEM_CAS = "/etc/ssl/certs/ca-certificates.crt"
SECONDS = 15  # without data, twice, until the network counts as down: the operator waits
UV = Path.home() / ".cache/jupyterlab/uv"
LOOK = "see", "newer"
UNFIT = "No solution found", "ResolutionImpossible", "No matching distribution"
# pip's option -> uv's variable, and the separator of lists there.
SAME = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "constraint": ("UV_CONSTRAINT", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "no-index": ("UV_NO_INDEX", " "),
    "keyring-provider": ("UV_KEYRING_PROVIDER", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "proxy": ("ALL_PROXY", " "),
}
HARMLESS = {
    "break-system-packages", "cache-dir", "config-file", "disable-pip-version-check",
    "exists-action", "format", "no-cache-dir", "no-color", "no-input",
    "no-warn-script-location", "prefer-binary", "progress-bar", "quiet", "require-virtualenv",
    "retries", "root-user-action", "user", "verbose",
}  # fmt: skip
# They win over a pip.conf that hides the output, or forbids to install into a folder.
PLAIN = {"PIP_QUIET": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0"}
PLAIN |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def pip(place: str, *words: str, **variables: str) -> str:
    """Run pip by the user's pip.conf, and return its output.

    :param place: the folder of pip; without one there the server's own is taken.
    :raises RuntimeError: with its error.
    """
    done = subprocess.run(
        [sys.executable, "-sP", "-m", "pip", *words],
        env={**os.environ, "PYTHONPATH": place, **PLAIN, **variables},
        stdout=PIPE, stderr=STDOUT, text=True,
    )  # fmt: skip
    if done.returncode:
        errors = re.findall("^ERROR: (?!Exception)(.+)", done.stdout, re.MULTILINE)
        raise RuntimeError([*errors, done.stdout][0])
    return done.stdout


def pip_options(place: str) -> dict[str, str]:
    """Return pip's options of `pip install`, from files and variables."""
    order = "global", "install", ":env:"  # the last one wins, as in pip
    shown = pip(place, "config", "list")
    rows = re.findall(rf"^({'|'.join(order)})\.(\S+?)=(.+)$", shown, re.MULTILINE)
    rows.sort(key=lambda row: order.index(row[0]))
    return {key: ast.literal_eval(value) for _, key, value in rows}


def uv_environment(options: dict[str, str]) -> dict[str, str]:
    """Return the same options for uv; refuse those that it does not support."""
    strange = sorted(set(options) - set(SAME) - HARMLESS)
    if strange:
        raise LookupError(f"pip.conf sets {', '.join(strange)}, which uv does not support")
    told = {"SSL_CERT_FILE": SYSTEM_CAS} if Path(SYSTEM_CAS).exists() else {}
    for key, (variable, joiner) in SAME.items():
        if key in options:
            told[variable] = joiner.join(options[key].split())
    return told


def fetch_uv(place: str) -> None:
    """Install the newest uv of the user's package index, and put it into the user's cache."""
    UV.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=UV.parent) as folder:
        command = ["install", "--no-deps", "--only-binary", ":all:", "--no-compile"]
        command += ["--no-cache-dir", "--timeout", str(SECONDS), "--retries", "0"]
        pip(place, *command, "--target", folder, "uv", TMPDIR=folder)
        Path(folder, "bin/uv").rename(UV)


def prepare(repair: str) -> dict[str, str]:
    """Download uv if it is missing; return the options of pip as uv's environment variables."""
    with tempfile.TemporaryDirectory() as place:
        # python3-pip may not be there yet; this one starts faster from files than from its wheel
        for wheel in glob.glob("/usr/share/python-wheels/pip-*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(place)
        options = uv_environment(pip_options(place))
        if not UV.exists():
            if repair in LOOK:
                raise LookupError("uv is not installed yet")
            fetch_uv(place)
    return options


def with_uv(venv: str, repair: str, floors: str, requirements: list[str]) -> None:
    """Install with uv; raise an exception when it cannot be downloaded or fails."""
    patience = {"UV_HTTP_TIMEOUT": str(SECONDS), "UV_HTTP_RETRIES": "1"}
    environment = {**patience, **os.environ, **prepare(repair)}
    environment["UV_CONSTRAINT"] = f"{environment.get('UV_CONSTRAINT', '')} {floors}".strip()
    command = [str(UV), "pip", "install", "--no-progress", "--python", f"{venv}/bin/python"]
    command += ["--index-strategy", "unsafe-best-match"]  # as pip: the best version of all indexes
    command += ["--reinstall"] if repair == "again" else []
    command += ["--dry-run", "--no-cache"] if repair in LOOK else []
    command += ["--upgrade"] if repair == "newer" else []
    run([*command, "--", "pip", *requirements], repair, " + ", r"(\S+)==(\S+)", env=environment)


def with_pip(venv: str, repair: str, floors: str, requirements: list[str]) -> None:
    """Install with the venv's own pip, which ensurepip adds when it is missing."""
    python = f"{venv}/bin/python"
    if repair not in LOOK:
        subprocess.run([python, "-m", "ensurepip", "--default-pip"], check=True)
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += ["--timeout", str(SECONDS), "--retries", "1", "--constraint", floors]
    command += ["--force-reinstall"] if repair == "again" else []
    command += ["--dry-run", "--no-cache-dir"] if repair in LOOK else []
    command += ["--upgrade", "--upgrade-strategy", "eager"] if repair == "newer" else []
    run([*command, "--", *requirements], repair, "Would install", r"(\S+)-([0-9]\S*)")


def run(command: list[str], repair: str, start: str, coming: str, **options) -> None:
    """Run the installer; in a dry run print `name version` of what it would install.

    :param start: how the lines begin that name packages.
    :param coming: the pattern of a name and a version in them.
    :raises SystemExit: with 3 when no versions fit together: another installer would not help.
    """
    done = subprocess.run(command, stdout=PIPE, stderr=STDOUT, text=True, **options)
    if repair not in LOOK:
        print(done.stdout, end="", flush=True)
    for row in done.stdout.splitlines() if repair in LOOK else ():
        for name, version in re.findall(coming, row) if row.startswith(start) else ():
            print(name, version)
    if done.returncode and any(word in done.stdout for word in UNFIT):
        raise SystemExit(3)
    done.check_returncode()


def main(venv: str, installer: str, repair: str, floors: str, *requirements: str) -> int:
    """Install; when uv fails, use pip and print why."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(f"{floors}\n")
        file.flush()
        return install(venv, installer, repair, file.name, list(requirements))


def install(venv: str, installer: str, repair: str, floors: str, requirements: list[str]) -> int:
    """Install, with the minimum versions in a file."""
    try:
        if installer == "uv":
            try:
                return with_uv(venv, repair, floors, requirements) or 0
            except Exception as problem:  # use pip, whatever it is
                words = getattr(problem, "output", None) or f"{problem}"
                reason = re.sub("[^/@ ']*@", "***@", words.strip().split("\n")[-1].strip())[:200]
                if repair not in LOOK:
                    print(f"note: uv could not be used ({reason}); using pip", flush=True)
        return with_pip(venv, repair, floors, requirements) or 0
    except subprocess.CalledProcessError as problem:
        return problem.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
