"""Install into a venv: with uv by this server's pip.conf, or with pip where uv cannot be used.

Usage: install.py VENV uv|pip REPAIR FLOORS REQUIREMENT...     (runs on the server, as the user)
REPAIR is `again` to reinstall what is there, `see` to only print what would be installed, `newer`
to do so with all upgrades, else `no`. FLOORS are minimum versions, for dependencies as well.
The operator sees the line that begins with `note: uv`.
"""

import glob
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from subprocess import PIPE, STDOUT
from urllib.parse import urljoin

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
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),  # an older name of the next one
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "no-index": ("UV_NO_INDEX", " "),
    "keyring-provider": ("UV_KEYRING_PROVIDER", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "cert": ("SSL_CERT_FILE", " "),
}
HARMLESS = {
    "break-system-packages", "cache-dir", "config-file", "disable-pip-version-check",
    "exists-action", "format", "no-cache-dir", "no-color", "no-input",
    "no-warn-script-location", "prefer-binary", "progress-bar", "quiet", "require-virtualenv",
    "retries", "root-user-action", "user", "verbose",
}  # fmt: skip


def pip_options() -> dict[str, str]:
    """Ask pip itself for its options of `pip install`, from files and variables."""
    sys.path[:0] = glob.glob("/usr/share/python-wheels/pip-*.whl")
    from pip._internal.configuration import Configuration

    configuration = Configuration(isolated=False)
    configuration.load()
    found = dict(configuration.items())
    options = {}
    for section in ("global.", "install.", ":env:."):  # the last one wins, as in pip
        for key, value in found.items():
            if key.startswith(section):
                options[key[len(section) :]] = value
    return options


def uv_environment(options: dict[str, str]) -> dict[str, str]:
    """Return the same options for uv; refuse those that it does not support."""
    strange = sorted(set(options) - set(SAME) - HARMLESS - {"proxy"})
    if strange:
        raise LookupError(f"pip.conf sets {', '.join(strange)}, which uv does not support")
    told = {"SSL_CERT_FILE": SYSTEM_CAS} if Path(SYSTEM_CAS).exists() else {}
    for key, (variable, joiner) in SAME.items():
        if key in options:
            told[variable] = joiner.join(options[key].split())
    if "proxy" in options:  # as in pip, it counts more than the environment
        told |= dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), options["proxy"])
    return told


def fetch(url: str, options: dict[str, str], **headers) -> bytes:
    """Return the body of a URL, by pip's proxy, trusting the CAs that pip trusts here."""
    cas = options.get("cert") or (SYSTEM_CAS if Path(SYSTEM_CAS).exists() else None)
    proxy = options.get("proxy")
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else None),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=cas)),
    )
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip", **headers})
    with opener.open(request, timeout=SECONDS) as answer:
        body = answer.read()
        return gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body


def fetch_uv(options: dict[str, str]) -> None:
    """Download the newest uv of the server's package index into the user's cache, by its hash."""
    from pip._internal.models.index import PyPI
    from pip._vendor.packaging.tags import sys_tags
    from pip._vendor.packaging.utils import InvalidWheelFilename, parse_wheel_filename

    page = options.get("index-url", PyPI.simple_url).rstrip("/") + "/uv/"
    listing = json.loads(fetch(page, options, Accept="application/vnd.pypi.simple.v1+json"))
    fitting, newest = set(sys_tags()), None
    for file in listing["files"]:
        try:
            _, version, _, tags = parse_wheel_filename(file["filename"])
        except (InvalidWheelFilename, ValueError):
            continue
        usable = tags & fitting and not version.is_prerelease and not file.get("yanked")
        if usable and (newest is None or version > newest[0]):
            newest = version, file
    if newest is None:
        raise LookupError("the package index has no uv for this machine")
    wheel = fetch(urljoin(page, newest[1]["url"]), options)
    if hashlib.sha256(wheel).hexdigest() != newest[1]["hashes"]["sha256"]:
        raise ValueError("the downloaded uv has another hash than the package index says")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        (member,) = [n for n in archive.namelist() if n.endswith(".data/scripts/uv")]
        UV.parent.mkdir(parents=True, exist_ok=True)
        new = UV.with_suffix(f".{os.getpid()}")
        new.write_bytes(archive.read(member))
        new.chmod(0o755)
        new.rename(UV)


def with_uv(venv: str, repair: str, floors: str, requirements: list[str]) -> None:
    """Install with uv; raise an exception when it cannot be downloaded or fails."""
    options = pip_options()
    patience = {"UV_HTTP_TIMEOUT": str(SECONDS), "UV_HTTP_RETRIES": "1"}
    environment = {**patience, **os.environ, **uv_environment(options)}
    environment["UV_CONSTRAINT"] = f"{environment.get('UV_CONSTRAINT', '')} {floors}".strip()
    if not UV.exists():
        if repair in LOOK:
            raise LookupError("uv is not installed yet")
        fetch_uv(options)
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


def scratch() -> str:
    """Return a folder on a disk, as /tmp may be small and in memory; a killed run's files go."""
    folder = UV.parent / "tmp"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError:
        return "/var/tmp"
    return str(folder)


def main(venv: str, installer: str, repair: str, floors: str, *requirements: str) -> int:
    """Install; when uv fails, use pip and print why."""
    if repair not in LOOK and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = scratch()
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
