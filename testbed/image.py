"""The image of a bare Debian server, rebuilt when its inputs have changed.

`python -m testbed.image RELEASE...` builds the images of several releases at once.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from invoke import Exit

from testbed import surroundings
from testbed.machine import STATE, has, install, may_install, run, say

HERE = Path(__file__).resolve().parent
BASES = {"bookworm": "debian:12", "trixie": "debian:13"}
LABEL = "jupyterlab-testbed.inputs"
PULL_SECONDS = 90


def ensure(release: str = "bookworm") -> str:
    """Build the image when it is missing or out of date, and return its name.

    If another process is building it, wait for that.

    :param release: codename of the Debian release.
    """
    STATE.mkdir(exist_ok=True)
    with (STATE / f"{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return made(release)


def name_of(release: str) -> str:
    """Return the name of a release's image."""
    return f"jupyterlab-testbed:{release}"


def made(release: str) -> str:
    """Build the image when it is missing or out of date, and return its name."""
    name = name_of(release)
    base = BASES[release]
    base_id = inspect(base, "{{.Id}}") or make_base(base, release)
    # /var/tmp, as /tmp is often a small tmpfs
    with TemporaryDirectory(dir="/var/tmp", prefix="testbed-") as folder:
        context = Path(folder)
        for part in ("Dockerfile", "ssh-host-keys.service"):
            shutil.copy(HERE / part, context)
        surroundings.write(context, release)
        inputs = checksum(context, base_id)
        if inspect(name, f'{{{{index .Config.Labels "{LABEL}"}}}}') != inputs:
            build(context, name, base, inputs)
    return name


def inspect(image: str, template: str) -> str:
    """Return what the engine knows about an image, or an empty string when it has none."""
    asked = subprocess.run(
        ["docker", "image", "inspect", "--format", template, image], capture_output=True, text=True
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""


def checksum(context: Path, base_id: str) -> str:
    """Return one hash over the base image and every file of the build context."""
    total = hashlib.sha256(base_id.encode())
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        total.update(f"\0{path.relative_to(context)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def build(context: Path, name: str, base: str, inputs: str) -> None:
    """Build the image with the classic builder, which every engine has."""
    say(f"building the image {name} from {base}")
    # the host's network: a mirror or proxy may be reachable only from there
    options = ["--network", "host", "--build-arg", f"BASE={base}", "--label", f"{LABEL}={inputs}"]
    run(["docker", "build", *options, "--tag", name, str(context)], {"DOCKER_BUILDKIT": "0"})


def make_base(base: str, release: str) -> str:
    """Pull Debian's base image, or make it from packages where no registry answers.

    :returns: the image's id.
    :raises Exit: when neither is possible.
    """
    say(f"pulling the base image {base}")
    try:
        pulled = subprocess.run(
            ["docker", "pull", "--quiet", base], capture_output=True, timeout=PULL_SECONDS
        )
        reached = pulled.returncode == 0
    except subprocess.TimeoutExpired:
        reached = False
    if not reached:
        if not may_install():
            raise Exit(f"The image {base} cannot be pulled. Try: docker pull {base}", 1)
        debootstrap(base, release)
    return inspect(base, "{{.Id}}")


def debootstrap(base: str, release: str) -> None:
    """Make the base image from Debian's packages."""
    if not has("debootstrap"):
        install("debootstrap")
    say(f"no registry answers: making {base} with debootstrap")
    with TemporaryDirectory(dir="/var/tmp", prefix="testbed-") as folder:
        # a subfolder: the mode of the temporary folder, 0700, would become that of /
        tree = Path(folder) / "root"
        tree.mkdir(mode=0o755)
        tree.chmod(0o755)
        run(["debootstrap", "--variant=minbase", release, str(tree)])
        pipe = 'tar -C "$1" --exclude="./var/cache/apt/archives/*.deb" -c . | docker import - "$2"'
        run(["sh", "-c", pipe, "sh", str(tree), base])


if __name__ == "__main__":
    with ThreadPoolExecutor() as pool:
        try:
            list(pool.map(ensure, sys.argv[1:]))
        except Exit as problem:
            sys.exit(problem.message)
