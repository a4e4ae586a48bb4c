"""Debian's Chromium with a home of its own, that says what went wrong in a page."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Playwright

CHROMIUM = Path("/usr/bin/chromium")
# JupyterLab makes its PDF viewer before it gives it a file: that nothing is refused harms nobody
EMPTY = r"Loading plugin data from ''|object-src refused $"
# What JupyterLab itself causes, without Nginx, too (test_direct.py); all else is an error of ours.
OWN = (
    EMPTY,
    r"Cannot read properties of undefined \(reading 'schema'\)",  # the page /tree
    r"Blocked script execution in 'blob:.* sandboxed",  # a page shown before it is trusted
)
# runs in every frame before its own scripts do
LISTEN = """
addEventListener('securitypolicyviolation', event => console.error(
  `Content-Security-Policy: ${event.effectiveDirective} refused ${event.blockedURI}`))
"""


def trust(home: Path, certificate: Path) -> None:
    """Have a Chromium with this home believe a CA, as its user would by importing it."""
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    at = ["certutil", "-d", f"sql:{store}"]
    subprocess.run([*at, "-N", "--empty-password"], check=True)
    options = ["-A", "-n", "the private CA", "-t", "C,,", "-i", certificate]
    subprocess.run([*at, *options], check=True)


def start(
    playwright: Playwright, home: Path, names: dict[str, str], program: Path = CHROMIUM
) -> Browser:
    """Start Chromium.

    :param names: addresses by name, in place of this machine's /etc/hosts.
    :param program: what starts it.
    """
    rules = ",".join(f"MAP {name} {address}" for name, address in names.items())
    return playwright.chromium.launch(
        executable_path=program,
        args=[f"--host-resolver-rules={rules}", "--no-proxy-server"],
        chromium_sandbox=os.geteuid() != 0,  # root has none
        env={**os.environ, "HOME": str(home)},
    )


class Watched:
    """A browser's window with cookies of its own; notes what goes wrong in any of its pages."""

    def __init__(self, browser: Browser, url: str):
        self.url = url
        size = {"width": 1280, "height": 800}
        self.context: BrowserContext = browser.new_context(base_url=url, viewport=size)
        self.context.set_default_timeout(60_000)
        self.said: list[str] = []
        self.context.add_init_script(LISTEN)
        self.context.on("console", self.note)
        self.context.on("weberror", lambda error: self.said.append(str(error.error)))

    def note(self, message) -> None:
        """Keep what the console calls an error, and where."""
        if message.type == "error":
            self.said.append(message.text)

    @property
    def errors(self) -> list[str]:
        """Errors of pages and consoles that JupyterLab does not cause by itself."""
        return [text for text in self.said if not any(re.search(own, text) for own in OWN)]

    def wait_said(self, page, pattern: str) -> None:
        """Wait until a console has said it: that comes in any order with what a page shows."""
        deadline = time.monotonic() + 60
        while not re.search(pattern, "\n".join(self.said)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.said}"
            page.wait_for_timeout(100)

    def log_in(self, secret: str, new_password: str | None = None, picture=None) -> None:
        """Fill in the login page and wait until JupyterLab is there.

        :param new_password: fills in the second form, which sets one.
        :param picture: takes one of a page, given its name.
        """
        page, picture = self.context.new_page(), picture or (lambda page, name: None)
        page.goto("/login?next=/lab")
        picture(page, "login")
        if new_password is None:
            page.fill("#password_input", secret)
            page.click("#login_submit")
        else:
            page.fill("#token_input", secret)
            page.fill("#new_password_input", new_password)
            page.click("#login_new_pass_submit")
        page.wait_for_selector("#jupyterlab-splash", state="detached")
        page.wait_for_selector(".jp-Launcher")
        picture(page, "launcher")
        page.close()
