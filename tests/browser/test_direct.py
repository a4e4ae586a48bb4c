"""What the tests let pass in a console comes from JupyterLab itself: it is there without Nginx."""

from __future__ import annotations

import re

import pytest
from browser import EMPTY, OWN
from lab import Lab
from test_shown import pdf
from visitor import DOMAIN

pytestmark = pytest.mark.browser

_, OF_TREE, OF_HTML = OWN
PORT, TOKEN = 9999, "of a plain one"
# the same JupyterLab, none of our files
START = f"""
systemd-run -q --unit plain -p User=david -p WorkingDirectory=/home/david/project \\
    -E JUPYTER_CONFIG_DIR=/home/david/.plain -E JUPYTER_TOKEN='{TOKEN}' \\
    /home/david/project/venv/bin/jupyter lab --no-browser --ip 0.0.0.0 --port {PORT} \\
    --ServerApp.allow_remote_access=True
timeout 60 sh -c 'until curl -sf -o /dev/null http://127.0.0.1:{PORT}/login; do sleep 0.2; done'
"""
# the policy would complain of an object without a file
LISTEN = """
const look = () => document.querySelectorAll('object:not([data])').forEach(
  () => console.error('an object without a file'))
new MutationObserver(look).observe(document, {childList: true, subtree: true})
"""


@pytest.fixture
def direct(site, member):
    """A page of JupyterLab by its own port, and what its console says."""
    host = site.server.host
    host.exec(START)
    window = type(member)(site.browser, f"http://{DOMAIN}:{PORT}")
    window.context.add_init_script(LISTEN)
    window.log_in(TOKEN)
    yield Lab(window.context.new_page(), "direct", host), window
    window.context.close()
    host.exec("systemctl stop plain")


def test_it_is_said_without_nginx_too(direct):
    lab, window = direct
    lab.page.goto("/tree")
    lab.page.wait_for_selector(".jp-DirListing-content")
    window.wait_said(lab.page, OF_TREE)
    page = lab.open(lab.put("page.html", "<p>hello</p><script>1</script>"))
    page.frame_locator(".jp-HTMLViewer iframe").locator("p").wait_for()
    window.wait_said(page, OF_HTML)
    with page.expect_console_message(lambda message: "without a file" in message.text):
        lab.open(lab.put("paper.pdf", pdf()))
    whole = "\n".join(window.said)
    assert [pattern for pattern in OWN if pattern != EMPTY and not re.search(pattern, whole)] == []
