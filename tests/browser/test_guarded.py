"""What the site forbids, the browser does forbid; and the way in and out works."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from conftest import PASSWORD
from network import this_machine

pytestmark = pytest.mark.browser


def test_the_listener_sees_what_is_refused(site):
    window = site.window()
    page = window.context.new_page()
    page.goto("/login")
    with page.expect_console_message(lambda message: "elsewhere.invalid" in message.text):
        page.evaluate("new Image().src = 'http://elsewhere.invalid/x.png', 0")
    assert "elsewhere.invalid" in window.errors[0]
    window.context.close()


def test_the_password_of_the_login_page_lets_in_and_log_out_lets_out(site, member):
    window = site.window()
    window.log_in(PASSWORD)
    page = window.context.new_page()
    page.goto("/lab")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.get_by_role("menuitem", name="Log Out", exact=True).click()
    page.wait_for_url("**/logout*")
    page.goto("/lab")
    page.wait_for_selector("#password_input")
    assert window.errors == []
    window.context.close()


def test_the_session_is_kept_from_scripts_and_from_other_sites(site, member):
    cookies = {cookie["name"]: cookie for cookie in member.context.cookies()}
    (session,) = [cookies[name] for name in cookies if name.startswith("username-")]
    assert session["httpOnly"] and session["sameSite"] == "Lax"
    assert all(cookie["secure"] == site.url.startswith("https") for cookie in cookies.values())


def test_kernels_are_reached_by_the_pages_own_scheme(site, lab):
    with lab.page.expect_websocket(lambda socket: "/channels" in socket.url) as opened:
        lab.notebook()
    assert opened.value.url.startswith(site.url.replace("http", "ws", 1))


FRAME = "url => document.body.append(Object.assign(document.createElement('iframe'), {src: url}))"


@pytest.fixture
def elsewhere(site, tmp_path):
    """Another site. It is real: Chromium refuses a made up one whatever is at a private address."""
    here = this_machine(site.server.host)
    (tmp_path / "index.html").write_text("<p>mine")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer((here, 0), handler) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://{here}:{server.server_port}/"
        server.shutdown()


def test_the_site_may_be_framed_by_itself_and_by_no_other(site, elsewhere):
    window = site.window()
    page = window.context.new_page()
    for start, framed in ((f"{site.url}/login", True), (elsewhere, False)):
        page.goto(start)
        with page.expect_event("framenavigated", lambda frame: frame.parent_frame):
            page.evaluate(FRAME, f"{site.url}/login")
        url = page.frames[1].url
        assert url == (f"{site.url}/login" if framed else "chrome-error://chromewebdata/")
    window.wait_said(page, "frame-ancestors")
    assert "frame-ancestors" in "\n".join(window.errors)
    window.context.close()
