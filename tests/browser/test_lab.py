"""JupyterLab is whole in a browser: what one does there all day works, and nothing is refused."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from lab import CELL
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

MATH = "mjx-container"


def test_a_newcomer_sees_no_venv_and_no_question_about_news(lab):
    lab.put("mine.txt", "mine")
    page = lab.open()
    files = page.locator(".jp-DirListing-item")
    expect(files.filter(has_text="mine.txt")).to_have_count(1)
    expect(files.filter(has_text="venv")).to_have_count(0)
    page.wait_for_timeout(3000)
    expect(page.locator(".Toastify__toast")).to_have_count(0)
    stranger = page.context.browser.new_page()  # with a context, and so cookies, of its own
    stranger.goto(urljoin(page.url, "/login"))
    expect(stranger.locator("#site")).to_contain_text("fab token")
    expect(stranger.locator("#new_password_input")).to_be_visible()
    stranger.close()


def test_a_notebook_computes(cells):
    expect(cells.run("6*7")).to_have_text("42")


def test_a_markdown_cell_shows_math_and_a_diagram(cells):
    page = cells.page
    page.locator(CELL).last.click()
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    cells.type("$$e^{i\\pi}+1=0$$\n\n```mermaid\ngraph TD; A-->B;\n```\n")
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector(f".jp-MarkdownOutput {MATH}")
    page.wait_for_selector(".jp-MarkdownOutput .jp-RenderedMermaid img")


def test_an_interactive_widget_moves(cells):
    page = cells.page
    cells.run("import ipywidgets; s = ipywidgets.IntSlider(7); s")
    page.locator(".widget-slider .noUi-handle").press("ArrowRight")
    expect(page.locator(".widget-readout")).to_have_text("8")
    expect(cells.run("s.value")).to_have_text("8")


def test_the_debugger_shows_a_variable(lab):
    page = lab.notebook()
    lab.run("1")  # the kernel is up: before, a click goes nowhere
    page.click(".jp-DebuggerBugButton")
    page.wait_for_selector(
        ".jp-DebuggerBugButton[aria-pressed=true], .jp-DebuggerBugButton .jp-mod-on"
    )
    lab.run("answer = 6 * 7; answer")
    page.locator(".jp-DebuggerVariables").get_by_text("answer").wait_for()


def test_a_terminal_echoes(lab):
    lab.terminal("echo so $((6*7))", "so 42")


def test_the_settings_editor_opens(lab):
    page = lab.open()
    lab.menu("Settings", "Settings Editor")
    page.locator(".jp-PluginList-entry", has_text="Notebook").first.click()
    page.wait_for_selector(".jp-SettingsForm input")


def test_the_contextual_help_opens(lab):
    page = lab.notebook()
    lab.menu("Help", "Show Contextual Help")
    lab.type("len")
    page.locator(".jp-Inspector-content", has_text="number of items").wait_for()


def test_the_notebook_without_lab_opens(lab):
    lab.page.goto("/tree")
    lab.page.wait_for_selector(".jp-DirListing-content")
