"""What notebooks show and files hold is shown in a browser, and nothing of it is refused."""

from __future__ import annotations

import base64

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="9"/></svg>'
LOADED = "image => image.complete && image.naturalWidth > 0"
VEGA = {
    "data": {"values": [{"a": 1, "b": 2}]},
    "mark": "bar",
    "encoding": {"x": {"field": "a"}, "y": {"field": "b"}},
}


def pdf() -> bytes:
    """A page with a word on it; viewers mend the table of objects that it lacks."""
    text = b"BT /F1 24 Tf 20 20 Td (hello) Tj ET"
    return (
        b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources"
        b"<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>endobj\n"
        b"4 0 obj<</Length %d>>stream\n%s\nendstream endobj\n"
        b"trailer<</Root 1 0 R>>\n%%%%EOF\n" % (len(text), text)
    )


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        pytest.param("SVG('''" + SVG + "''')", "img", id="svg"),
        pytest.param(f"Image({PNG!r})", "img", id="png"),
        pytest.param("HTML('<b style=\"color: red\" class=here>x</b>')", "b.here", id="html"),
        pytest.param(
            "HTML('<p id=p></p><script>p.className = \"ran\"</script>')", "p.ran", id="html script"
        ),
        pytest.param("Javascript('element.className += \" ran\"')", ".ran", id="javascript"),
        pytest.param(r"Math(r'\frac{1}{2}')", "mjx-container", id="latex"),
        pytest.param("Audio([0.0, 1.0] * 4000, rate=8000)", "audio", id="audio"),
        pytest.param("IFrame('/api/me', 200, 50)", "iframe", id="iframe"),
        pytest.param(
            f"display({{'application/vnd.vegalite.v5+json': {VEGA}}}, raw=True)",
            ".vega-embed canvas, .vega-embed svg",
            id="vega",
        ),
    ],
)
def test_a_notebook_shows(cells, code, seen):
    output = cells.run(f"from IPython.display import *\n{code}")
    shown = output.locator(seen).or_(output.and_(cells.page.locator(seen))).first
    shown.wait_for(state="attached")
    if seen == "img":
        cells.page.wait_for_function(LOADED, arg=shown.element_handle())
    if seen == "audio":
        cells.page.wait_for_function("sound => sound.duration > 0", arg=shown.element_handle())


@pytest.mark.parametrize(
    ("name", "content"), [("dot.png", PNG), ("circle.svg", SVG)], ids=["png", "svg"]
)
def test_an_image_opens(viewer, name, content):
    page = viewer.show(name, content)
    image = page.wait_for_selector(".jp-ImageViewer img")
    page.wait_for_function(LOADED, arg=image)


def test_a_table_opens(viewer):
    page = viewer.show("table.csv", "a,b\n1,2\n")
    page.wait_for_selector(".jp-CSVViewer .lm-DataGrid canvas")


def test_json_opens(viewer):
    page = viewer.show("data.json", '{"answer": 42}')
    page.locator(".jp-RenderedJSON", has_text="answer").wait_for()


def test_html_opens_and_its_script_runs_once_trusted(viewer):
    script = "<script>document.querySelector('p').append(' ran')</script>"
    page = viewer.show("page.html", f"<p>hello</p>{script}")
    inside = page.frame_locator(".jp-HTMLViewer iframe")
    expect(inside.locator("p")).to_have_text("hello")
    page.get_by_role("button", name="Trust HTML").click()
    expect(inside.locator("p")).to_have_text("hello ran")


def test_a_pdf_opens(viewer):
    page = viewer.show("paper.pdf", pdf())
    page.wait_for_selector(".jp-PDFContainer iframe")
    while not any(frame.url.startswith("chrome-extension:") for frame in page.frames):
        page.wait_for_event("framenavigated")
