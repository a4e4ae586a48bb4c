"""What JupyterLab's pages are made of is compressed, when its name tells what is in it."""

import gzip
import os
import re
import runpy
from pathlib import Path

import pytest
from dash import ME, applying, dash, reading, said
from test_render import rendered

from fabfile import nginx
from fabfile.items import Assets
from fabfile.render import TEMPLATES, program, shell
from fabfile.script import here

HASH = "0123456789abcdef"
LAB, EXTENSIONS = "share/jupyter/lab/static", "share/jupyter/labextensions"
NOTEBOOK = "lib/python3.11/site-packages/notebook/static"
tool = runpy.run_path(str(TEMPLATES / "python" / "compress_assets.py"))
# file in the venv -> address; no address for what is left to JupyterLab
KNOWN = {
    f"{LAB}/1014.{HASH}.js": f"static/lab/1014.{HASH}.js",
    f"{LAB}/{HASH}.woff2": f"static/lab/{HASH}.woff2",
    f"{NOTEBOOK}/main.{HASH}.js": f"static/notebook/main.{HASH}.js",
    f"{EXTENSIONS}/a/static/b.{HASH}0123.css": f"lab/extensions/a/static/b.{HASH}0123.css",
    f"{EXTENSIONS}/@s/a/static/b.{HASH}.js": f"lab/extensions/@s/a/static/b.{HASH}.js",
    f"{LAB}/package.json": "",
    f"{LAB}/style.js": "",
    f"{LAB}/index.out.js": "",
    f"{LAB}/1014.0123456789abcde.js": "",
    f"{LAB}/1014.{HASH.upper()}.js": "",
    f"{LAB}/licenses.{HASH}.json": "",
    f"{LAB}/1014.{HASH}.js.map": "",
    f"{EXTENSIONS}/a/schemas/b.{HASH}.js": "",
}


@pytest.fixture
def venv(tmp_path) -> Path:
    """A venv with each of these, its own path in it, under a name that globs would take apart."""
    folder = tmp_path / "a [b] *" / "venv"
    for name in KNOWN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name * 100)
    return folder


@pytest.fixture
def cache(tmp_path) -> Path:
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def fill(cache: Path, venv: Path, previous: str = "/nowhere") -> dict[str, str]:
    """Fill the folder, and give what is in it, unpacked."""
    tool["main"](str(cache), str(venv), previous)
    found = (path for path in cache.rglob("*") if path.is_file())
    return {str(p.relative_to(cache)): gzip.decompress(p.read_bytes()).decode() for p in found}


def test_only_hashed_names_are_compressed(venv, cache):
    wanted = {f"{address}.gz": file * 100 for file, address in KNOWN.items() if address}
    assert fill(cache, venv) == wanted


def test_nginx_looks_there_for_these_addresses_and_for_no_others():
    text = rendered(nginx, "jupyterlab")
    pattern = re.search(r'location ~ "(.*jupyterlab_asset.*)" \{', text)[1].replace("?<", "?P<")
    for file, address in KNOWN.items():
        name = address or file.replace(LAB, "static/lab").replace(EXTENSIONS, "lab/extensions")
        match = re.search(pattern, f"/{name}")
        assert bool(match) == bool(address), file
        assert not match or match["jupyterlab_asset"] == address


def test_what_is_there_is_not_compressed_again_unless_it_is_newer(venv, cache):
    fill(cache, venv)
    times = {path: path.stat().st_ctime_ns for path in cache.rglob("*.gz")}
    fill(cache, venv)
    assert {path: path.stat().st_ctime_ns for path in cache.rglob("*.gz")} == times
    (venv / LAB / f"1014.{HASH}.js").write_text("changed by hand")
    assert fill(cache, venv)[f"static/lab/1014.{HASH}.js.gz"] == "changed by hand"


def test_what_is_gone_goes_unless_the_venv_before_has_it(venv, cache, tmp_path):
    before = fill(cache, venv)
    other = tmp_path / "other"
    (other / LAB).mkdir(parents=True)
    (other / LAB / f"2.{HASH}.js").write_text("new")
    after = fill(cache, other, str(venv))
    assert after == {**before, f"static/lab/2.{HASH}.js.gz": "new"}
    assert fill(cache, other) == {f"static/lab/2.{HASH}.js.gz": "new"}
    assert not (cache / "lab").exists()


def test_what_a_killed_run_and_strangers_left_goes(venv, cache):
    fill(cache, venv)
    (cache / "static/lab" / f"1014.{HASH}.js.gz.new").write_text("half")
    (cache / "link").symlink_to("/etc")
    assert len(fill(cache, venv)) == 5
    assert not (cache / "link").is_symlink() and Path("/etc/passwd").exists()


def test_what_is_no_file_is_left_out(venv, cache):
    os.mkfifo(venv / LAB / f"pipe.{HASH}.js")
    (venv / LAB / f"nowhere.{HASH}.js").symlink_to("/nowhere")
    (venv / LAB / f"folder.{HASH}.js").mkdir()
    assert len(fill(cache, venv)) == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to Nginx's group")
def test_the_folder_is_fresh_until_a_file_comes_or_goes(venv, tmp_path):
    folder = tmp_path / "pages"
    item = Assets(
        path=str(folder), venv=str(venv), previous="/nowhere", owner=ME, home=str(tmp_path)
    )

    def lines() -> list[str]:
        return said(reading() + item.read())

    def fix() -> None:
        tools = {"compress_assets.py": program("compress_assets"), "read.sh": shell("lib/read")}
        tool = "".join(f'cat >"$run/{one}" {here(text)}\n' for one, text in tools.items())
        text = f"{applying(tmp_path)}{tool}set -e\n{item.change().shell}\n"
        assert (done := dash(text)).returncode == 0, done

    assert lines() == ["stale"]
    fix()
    assert lines() == ["fresh"]
    assert (folder / "assets").stat().st_mode & 0o777 == 0o750
    assert (folder / "assets").group() == "www-data"
    os.utime(venv / LAB, (1, 1))
    assert lines() == ["stale"]
    fix()
    assert lines() == ["fresh"]
    (folder / "assets").rename(tmp_path / "aside")
    assert lines() == ["stale"]
    (folder / "assets").symlink_to(tmp_path / "aside")
    fix()
    assert lines() == ["fresh"] and not (folder / "assets").is_symlink()
    made = (tmp_path / "ledger/made").read_text().splitlines()
    assert f"path {folder}" in made and f"tree {folder}/assets" in made
