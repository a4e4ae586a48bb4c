"""What a day brings: plots, large files and notebooks."""

from __future__ import annotations

import hashlib
import json
import random

import pytest

pytestmark = pytest.mark.browser

SIZE, OUTPUT = 30_000_000, 5_000_000
LOADED = "image => image.complete && image.naturalWidth > 0"
PLOT = """import numpy as np
import matplotlib.pyplot as plt
x = np.linspace(0, 6 * np.pi, 600)
for n in range(1, 6):
    plt.plot(x, np.sin(x + n) * np.exp(-x / 4 / n), label=f'n = {n}')
plt.legend()
plt.show()"""


def test_a_plot_is_seen(cells, picture):
    page = cells.page
    image = cells.run(PLOT).locator("img")
    page.wait_for_function(LOADED, arg=image.element_handle())
    assert image.evaluate("image => image.naturalWidth") > 300
    picture(page, "plot")


def drag(page, path) -> None:
    """Let go a file over the list of files, as the desktop tells Chromium of it."""
    wire, box = page.context.new_cdp_session(page), page.locator(".jp-DirListing").bounding_box()
    where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] - 20}
    hand = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        wire.send("Input.dispatchDragEvent", {"type": kind, **where, "data": hand})


def choose(page, path) -> None:
    """Choose a file in the dialog."""
    with page.expect_file_chooser() as chooser:
        page.locator(".jp-FileBrowser").get_by_title("Upload Files").click()
    chooser.value.set_files(path)


@pytest.mark.parametrize("how", [choose, drag])
def test_a_file_of_30_mb_is_uploaded_and_downloaded(lab, tmp_path, how):
    name = f"{how.__name__}.bin"
    lab.host.exec(f"rm -f /home/david/project/{name}")  # of the other scheme
    page, path = lab.open(), tmp_path / name
    path.write_bytes(random.Random(1).randbytes(SIZE))  # JupyterLab sends it in parts
    how(page, path)
    page.locator(".jp-Dialog", has_text="29 MB").locator(".jp-mod-accept").click()
    item = page.locator(".jp-DirListing-item", has_text=name)
    item.wait_for()
    there = f"$(stat -c %s /home/david/project/{name})"
    lab.host.exec(f"timeout 120 sh -c 'until [ {there} = {SIZE} ]; do sleep 0.2; done'")
    item.click(button="right")
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Download", exact=True).click()
    wanted = hashlib.sha256(path.read_bytes()).hexdigest()
    assert lab.host.exec(f"sha256sum /home/david/project/{name}").split()[0] == wanted
    assert hashlib.sha256(download.value.path().read_bytes()).hexdigest() == wanted


def test_a_notebook_with_5_mb_of_output_is_saved(lab):
    page = lab.notebook()
    code = f"from IPython.display import HTML\nHTML('<i>much</i><!--' + 'x' * {OUTPUT} + '-->')"
    lab.run(code).locator("i").wait_for()
    with page.expect_response(lambda r: r.request.method == "PUT" and ".ipynb" in r.url) as answer:
        page.keyboard.press("Control+s")
        page.get_by_role("button", name="Rename and Save").click()
    assert answer.value.ok
    name = answer.value.json()["path"]
    book = json.loads(lab.host.exec(f"cat '/home/david/project/{name}'"))
    (output,) = book["cells"][0]["outputs"]
    assert len("".join(output["data"]["text/html"])) > OUTPUT


def test_pip_in_a_terminal_is_that_of_the_venv(lab):
    lab.terminal("pip --version", "/venv/lib/")
