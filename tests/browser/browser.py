"""Debian's Chromium with a home of its own, that says what a page's policy refused."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Playwright

CHROMIUM = Path("/usr/bin/chromium")
REFUSED = re.compile(r"Content.Security.Policy|Refused to|frame-ancestors", re.IGNORECASE)
# JupyterLab makes its PDF viewer before it gives it a file: that nothing is refused harms nobody
EMPTY = re.compile(r"Loading plugin data from ''|object-src refused $")
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


def start(playwright: Playwright, home: Path, names: dict[str, str]) -> Browser:
    """Start Chromium.

    :param names: addresses by name, in place of this machine's /etc/hosts.
    """
    rules = ",".join(f"MAP {name} {address}" for name, address in names.items())
    return playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=[f"--host-resolver-rules={rules}", "--no-proxy-server"],
        chromium_sandbox=os.geteuid() != 0,  # root has none
        env={**os.environ, "HOME": str(home)},
    )


class Watched:
    """A browser's window with cookies of its own; notes what was refused in any of its pages."""

    def __init__(self, browser: Browser, url: str):
        self.url = url
        self.context: BrowserContext = browser.new_context(base_url=url, accept_downloads=True)
        self.refused: list[str] = []
        self.context.add_init_script(LISTEN)
        self.context.on("console", self.note)

    def note(self, message) -> None:
        """Keep what the console says about policies."""
        if REFUSED.search(message.text) and not EMPTY.search(message.text):
            self.refused.append(message.text)

    def log_in(self, secret: str, new_password: str | None = None) -> None:
        """Fill in the login page and wait until JupyterLab is there.

        :param new_password: fills in the second form, which sets one.
        """
        page = self.context.new_page()
        page.goto("/login?next=/lab")
        if new_password is None:
            page.fill("#password_input", secret)
            page.click("#login_submit")
        else:
            page.fill("#token_input", secret)
            page.fill("#new_password_input", new_password)
            page.click("#login_new_pass_submit")
        page.wait_for_selector("#jupyterlab-splash", state="detached")
        page.wait_for_selector(".jp-Launcher")
        page.close()
