"""JupyterLab's page, and what one does there with mouse and keyboard."""

from __future__ import annotations

import base64
from pathlib import PurePosixPath
from shlex import quote

from playwright.sync_api import Locator, Page, expect

PROJECT = PurePosixPath("/home/david/project")
CELL = ".jp-Notebook .jp-Cell .cm-content"
OUTPUT = ".jp-CodeCell .jp-OutputArea-output"
expect.set_options(timeout=30_000)  # a busy machine takes longer than the 5 s it has by itself


class Lab:
    """One page of JupyterLab."""

    def __init__(self, page: Page, name: str, host):
        self.page, self.name, self.host = page, name, host
        page.set_default_timeout(60_000)

    def open(self, path: str = "") -> Page:
        """Open JupyterLab, with a file if a path is given, and wait until it is drawn."""
        tree = f"/tree/{path}" if path else ""
        self.page.goto(f"/lab/workspaces/{self.name}{tree}?reset")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")
        self.page.wait_for_selector(".jp-MainAreaWidget:visible")
        return self.page

    def put(self, path: str, content: str | bytes) -> str:
        """Lay a file into the project on the server."""
        data = content.encode() if isinstance(content, str) else content
        place, text = quote(str(PROJECT / path)), base64.b64encode(data).decode()
        self.host.exec(f"echo {text} | base64 -d >{place}; chown david: {place}")
        return path

    def show(self, path: str, content: str | bytes) -> Page:
        """Lay a file into the project and open it in the page that is there."""
        self.put(path, content)
        self.menu("File", "Open from Path")
        self.page.fill(".jp-Dialog input", path)
        self.page.click(".jp-Dialog .jp-mod-accept")
        return self.page

    def close(self) -> None:
        """Close the file that is shown."""
        self.page.click(".lm-DockPanel .lm-mod-current .lm-TabBar-tabCloseIcon")

    def notebook(self) -> Page:
        """Open a new notebook and wait for its kernel."""
        self.open()
        with self.page.expect_websocket(lambda socket: "/channels" in socket.url) as opened:
            self.page.click('.jp-LauncherCard[data-category="Notebook"]')
        # the page shows a kernel as idle before it is connected: what is run then is lost
        opened.value.wait_for_event("framereceived", lambda frame: "idle" in str(frame))
        self.page.wait_for_selector(CELL)
        return self.page

    def clear(self) -> None:
        """Delete all cells of the notebook but for an empty one."""
        self.page.locator(CELL).last.click()
        for key in ("Escape", "Control+a", "d", "d"):
            self.page.keyboard.press(key)
        expect(self.page.locator(CELL)).to_have_text([""])
        expect(self.page.locator(OUTPUT)).to_have_count(0)

    def type(self, text: str) -> None:
        """Write a text into the last cell."""
        cell = self.page.locator(CELL).last
        cell.click()
        self.page.keyboard.insert_text(text)

    def run(self, code: str) -> Locator:
        """Run code in the last cell, and give its output, once there is one."""
        self.type(code)
        self.page.keyboard.press("Shift+Enter")
        output = self.page.locator(OUTPUT).last
        output.wait_for()
        return output

    def terminal(self, command: str, answer: str) -> None:
        """Type a command into a new terminal, and wait until it says the answer."""
        page = self.open()
        with page.expect_websocket(lambda socket: "/terminals/" in socket.url) as opened:
            page.locator(".jp-LauncherCard", has_text="Terminal").click()
        page.wait_for_selector(".jp-Terminal .xterm-screen")
        with opened.value.expect_event("framereceived", lambda frame: answer in str(frame)):
            page.click(".jp-Terminal .xterm-screen")
            page.keyboard.type(f"{command}\n")

    def menu(self, menu: str, entry: str) -> None:
        """Choose an entry of a menu."""
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        self.page.get_by_role("menuitem", name=entry).click()
