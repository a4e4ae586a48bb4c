"""JupyterLab on a server, by HTTP and by HTTPS, and a person with Chromium who is logged in."""

from __future__ import annotations

import shutil
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser import CHROMIUM, Watched, start, trust
from lab import Lab
from network import neighbour
from outcomes import well
from playwright.sync_api import Browser, sync_playwright
from servers import Factory, Server
from visitor import DOMAIN

from testbed.machine import ROOT

PASSWORD = "chosen in a browser"
CORE = "test_a_notebook_computes", "test_a_plot_is_seen"  # by HTTPS, with the private CA
BY_BOTH = "test_a_notebook_computes"  # beside all of test_guarded
PICTURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 1280, 800)
NEWS = ".Toastify { visibility: hidden }"  # JupyterLab asks whether one wants some
BLANK = 8_000  # bytes; a page of one colour has fewer


def pytest_collection_modifyitems(config, items):
    """Show most by HTTPS alone: HTTP is what is between them. Say why, without a Chromium."""
    for item in items:
        if item.originalname in CORE and "[https-" in item.name:
            item.add_marker(pytest.mark.core)
    twice = [
        i for i in items
        if "[http-" in i.name and i.path.name != "test_guarded.py" and i.originalname != BY_BOTH
    ]  # fmt: skip
    config.hook.pytest_deselected(items=twice)
    items[:] = [item for item in items if item not in twice]
    if CHROMIUM.exists() and shutil.which("certutil"):
        return
    skip = pytest.mark.skip(reason="needs Debian's packages chromium and libnss3-tools")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(skip)


@dataclass
class Site:
    """A server with JupyterLab, and a browser that finds it by its name."""

    server: Server
    browser: Browser
    url: str
    token: str

    def window(self) -> Watched:
        """Open a window in which nobody is logged in."""
        return Watched(self.browser, self.url)


@pytest.fixture(scope="session")
def playwright():
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browsed(request, started, operator):
    """A server that both share."""
    make = Factory(request, started, operator)
    yield make("browsed", settled=True)
    make.remove()


@pytest.fixture(scope="session", params=["off", "self-signed"], ids=["http", "https"])
def site(request, browsed, playwright, tmp_path_factory):
    """JupyterLab without HTTPS, then with it."""
    home = tmp_path_factory.mktemp("browser")
    env = {
        "FABRIC_LAB_TLS": request.param,
        "FABRIC_LAB_CA_FOLDER": str(home / "ca"),
        "FABRIC_LAB_PACKAGES": "jupyter matplotlib",
    }
    well(browsed.fab("full", "--yes", env=env))  # also from HTTPS to HTTP
    if request.param == "self-signed":
        trust(home, home / "ca" / "ca.pem")
    place = well(browsed.fab("token", env=env)).strip()
    url, token = place.split("/lab?token=")
    with neighbour(browsed.host, CHROMIUM, home) as program:
        browser = start(playwright, home, {DOMAIN: browsed.host.address}, program)
        yield Site(browsed, browser, url, token)
        browser.close()


@pytest.fixture(scope="session")
def picture(request, tmp_path_factory):
    """Give a function that takes a picture of a page; with --pictures for the README."""
    kept = request.config.getoption("--pictures")
    folder = ROOT / "docs" / "pictures" if kept else tmp_path_factory.mktemp("pictures")

    def take(page, name: str) -> None:
        page.mouse.move(0, 0)
        page.wait_for_function("document.fonts.status == 'loaded'")
        taken = page.screenshot(path=folder / f"{name}.png", animations="disabled", style=NEWS)
        assert taken.startswith(PICTURE) and len(taken) > BLANK

    return take


@pytest.fixture(scope="session")
def member(site, picture):
    """A window of someone who came with the token and set a password on the login page."""
    window = site.window()
    window.log_in(site.token, new_password=PASSWORD, picture=picture)
    assert window.errors == []
    return window


@contextmanager
def in_order(member):
    """Assert that nothing goes wrong meanwhile in any page of a window."""
    member.said.clear()
    yield
    assert member.errors == []


@contextmanager
def page_of(site, member, name: str):
    """Give a page of JupyterLab with a workspace of its own."""
    page = Lab(member.context.new_page(), name, site.server.host)
    yield page
    page.page.close()


@pytest.fixture(scope="session")
def book(site, member):
    """A page with a notebook that many tests share: to open one takes seconds."""
    with page_of(site, member, "book") as page:
        page.notebook()
        yield page


@pytest.fixture
def cells(book, member):
    """That notebook, empty, in which nothing may go wrong."""
    with in_order(member):
        yield book
        book.clear()


@pytest.fixture(scope="session")
def shelf(site, member):
    """A page in which many tests open a file."""
    with page_of(site, member, "shelf") as page:
        page.open()
        yield page


@pytest.fixture
def viewer(shelf, member):
    """That page, in which nothing may go wrong."""
    with in_order(member):
        yield shelf
        shelf.close()


@pytest.fixture
def lab(site, member, request):
    """A page of JupyterLab with a workspace of its own, in which nothing may go wrong."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    with in_order(member), page_of(site, member, name) as page:
        yield page
