"""A network that is gone for a while: the last one, for all open pages of a window say so."""

from __future__ import annotations

import pytest
from network import lost
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SECONDS = 20
COUNT = f"""import time
for n in range({SECONDS + 6}):
    print(n, flush=True)
    time.sleep(1)"""


def test_what_a_cell_says_while_the_network_is_lost_comes_later(lab, site, member):
    reset = site.url.startswith("https")  # each scheme one of the two ways to lose it
    page = lab.notebook()
    output = lab.run(COUNT)
    expect(output).to_contain_text("1")
    with lost(lab.host, 443 if reset else 80, reset):
        before = len(output.inner_text().split())  # to lose it may take seconds
        page.wait_for_timeout(SECONDS * 1000)
        assert len(output.inner_text().split()) < before + 4
    expect(output).to_have_text("\n".join(map(str, range(SECONDS + 6))) + "\n", timeout=120_000)
    member.said[:] = [text for text in member.said if "net::ERR_" not in text]
