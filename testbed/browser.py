"""Debian's Chromium for the tests, and certutil, which adds a CA to it."""

from testbed.machine import has, install, may_install

# command -> the Debian package it comes from
NEEDED = {"chromium": "chromium", "certutil": "libnss3-tools"}
FONT = "fonts-dejavu-core"


def ensure() -> None:
    """Install what is missing on Debian as root; elsewhere the tests that need it are skipped."""
    missing = [package for command, package in NEEDED.items() if not has(command)]
    if missing and may_install():
        install(*missing, FONT)
