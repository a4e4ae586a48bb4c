"""Settings that servers near this machine share with it: CAs, apt mirror and proxy, pip index."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from testbed.machine import codename

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
EXTRA_CAS = Path("/usr/local/share/ca-certificates")
# how to reach the mirror, and whether its index may be an old snapshot
APT_OPTIONS = re.compile(r"Acquire::(https?::Proxy|Check-Valid-Until|Check-Date)\b")
PIP_OPTIONS = ("index-url", "extra-index-url", "trusted-host", "cert")


def write(context: Path, release: str) -> None:
    """Write these settings into a build context: the folders apt, ca and certs, and pip.conf."""
    for folder in ("apt/apt.conf.d", "apt/sources.list.d", "ca", "certs"):
        (context / folder).mkdir(parents=True)
    for certificate in EXTRA_CAS.glob("*.crt"):
        shutil.copy(certificate, context / "ca")
    (context / "apt/apt.conf.d/80surroundings").write_text(apt_options())
    (context / "pip.conf").write_text(pip_conf())
    if codename() == release and copy_sources(context / "apt") and BUNDLE.exists():
        # an https mirror is needed before the package ca-certificates can be installed
        shutil.copy(BUNDLE, context / "certs")


def copy_sources(apt: Path) -> bool:
    """Copy this machine's own apt sources and return whether any of them uses https."""
    deb822 = Path("/etc/apt/sources.list.d/debian.sources")
    one_line = Path("/etc/apt/sources.list")
    text = ""
    if deb822.exists():
        text = deb822.read_text()
        (apt / "sources.list.d/debian.sources").write_text(text)
        (apt / "sources.list").write_text("")  # else apt uses the base image's own list as well
    elif one_line.exists():
        # the installation medium is not in the container
        kept = [line for line in one_line.read_text().splitlines() if "cdrom:" not in line]
        text = "\n".join(kept) + "\n"
        if "deb " in text:
            (apt / "sources.list").write_text(text)
            (apt / "sources.list.d/debian.sources").write_text("")
    return "https://" in text


def apt_options() -> str:
    """Return this machine's apt proxy and snapshot options, as apt.conf text."""
    if not shutil.which("apt-config"):
        return ""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True).stdout
    lines = [line for line in dump.splitlines() if APT_OPTIONS.match(line)]
    return "".join(f"{line}\n" for line in lines if not line.endswith('"";'))


def pip_conf() -> str:
    """Return pip.conf with this machine's index and CA, as far as a container can reach them."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
    ).stdout
    found = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        name = key.removeprefix(":env:.").removeprefix("global.")
        if name in PIP_OPTIONS:
            found[name] = value.strip("'")
    for name in ("index-url", "extra-index-url"):
        remote = [url for url in found.pop(name, "").split() if url.startswith("http")]
        if remote:
            found[name] = " ".join(remote)
    if "cert" in found or os.environ.get("REQUESTS_CA_BUNDLE"):
        found["cert"] = str(BUNDLE)  # where the image's own system store will be
    if not found:
        return ""
    return "\n".join(["[global]", *(f"{name} = {found[name]}" for name in sorted(found)), ""])
