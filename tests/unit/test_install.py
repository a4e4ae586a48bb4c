"""templates/python/install.py: uv from the server's own index, and pip where uv cannot."""

import gzip
import hashlib
import importlib.util
import io
import json
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fabfile.render import TEMPLATES


@pytest.fixture
def install(monkeypatch, tmp_path):
    """The module, loaded by a user whose home is the test's folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = importlib.util.spec_from_file_location("install", TEMPLATES / "python" / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- what pip.conf says, said to uv ------------------------------------------------------------


@pytest.mark.parametrize(
    "option, value, variable, told",
    [
        ("index-url", "https://a/simple", "UV_DEFAULT_INDEX", "https://a/simple"),
        ("extra-index-url", "https://a\nhttps://b", "UV_INDEX", "https://a https://b"),
        ("find-links", "\n/a\n/b", "UV_FIND_LINKS", "/a,/b"),
        ("trusted-host", "a b", "UV_INSECURE_HOST", "a b"),
        ("constraint", "/c.txt", "UV_CONSTRAINT", "/c.txt"),
        ("timeout", "60", "UV_HTTP_TIMEOUT", "60"),
        ("default-timeout", "60", "UV_HTTP_TIMEOUT", "60"),
        ("no-index", "true", "UV_NO_INDEX", "true"),
        ("cert", "/ca.pem", "SSL_CERT_FILE", "/ca.pem"),
        ("client-cert", "/me.pem", "SSL_CLIENT_CERT", "/me.pem"),
        ("proxy", "http://p:3128", "https_proxy", "http://p:3128"),
    ],
)
def test_an_option_of_pip_is_said_to_uv(install, option, value, variable, told):
    assert install.uv_environment({option: value})[variable] == told


def test_what_does_not_matter_is_not_said(install):
    assert set(install.uv_environment({"quiet": "1", "retries": "3"})) <= {"SSL_CERT_FILE"}


@pytest.mark.parametrize("option", ["target", "prefix", "no-binary", "require-hashes", "uv"])
def test_what_uv_has_no_word_for_is_refused(install, option):
    with pytest.raises(LookupError, match=option):
        install.uv_environment({option: "x", "index-url": "y"})


def test_pip_itself_is_asked_for_its_options(install, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_TIMEOUT", "7")
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "pip.conf").write_text(
        "[global]\nindex_url = https://global\nfind-links =\n  /a\n  /b\ntimeout = 3\n"
        "[install]\nindex-url = https://install\n[list]\nformat = columns\n"
    )
    found = install.pip_options()
    assert found["index-url"] == "https://install"
    assert found["find-links"].split() == ["/a", "/b"]
    assert found["timeout"] == "7"
    assert "format" not in found


# --- an index ----------------------------------------------------------------------------------


def wheel(content: bytes, version: str = "0.9.1") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("uv/__init__.py", "")
        archive.writestr(f"uv-{version}.data/scripts/uv", content)
        archive.writestr(f"uv-{version}.data/scripts/uvx", b"another")
    return packed.getvalue()


@pytest.fixture
def index(monkeypatch):
    """A small index on this machine: its pages by path, and the path it was asked for."""
    pages, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Accept"]))
            body = pages.get(self.path)
            self.send_response(404 if body is None else 200)
            if body and "gzip" in self.headers["Accept-Encoding"] and body[:1] == b"{":
                body = gzip.compress(body)
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.asked = pages, asked
    server.url = f"http://127.0.0.1:{server.server_port}/simple"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def offer(index, *files: tuple[str, dict]) -> None:
    """Put wheels into the index; each one's uv tells the file name that it came from."""
    rows = []
    for name, more in files:
        data = wheel(name.encode())
        index.pages[f"/files/{name}"] = data
        digest = {"sha256": hashlib.sha256(data).hexdigest()}
        rows.append({"filename": name, "url": f"../../files/{name}", "hashes": digest, **more})
    index.pages["/simple/uv/"] = json.dumps({"files": rows}).encode()


ANY = "uv-{}-py3-none-any.whl"
ONE = ANY.format("0.9.1")


def test_uv_comes_by_the_proxy_of_pip(install, index):
    offer(index, (ONE, {}))
    index.pages |= {f"http://index.invalid{path}": page for path, page in index.pages.items()}
    proxy = {"proxy": f"http://127.0.0.1:{index.server_port}"}
    install.fetch_uv({"index-url": "http://index.invalid/simple", **proxy})
    assert install.UV.read_bytes() == ONE.encode()


@pytest.mark.parametrize(
    "files, taken",
    [
        ([ONE], ONE),
        ([ANY.format(v) for v in ("0.9.9", "0.10.0", "0.8.30")], ANY.format("0.10.0")),
        ([ONE, ANY.format("1.0.0rc1"), ANY.format("1.0.dev1")], ONE),
        ([ONE, (ANY.format("0.9.2"), {"yanked": "broken"})], ONE),
        ([ONE, (ANY.format("0.9.2"), {"yanked": False})], ANY.format("0.9.2")),
        ([ONE, "uv-2.0-py3-none-win_arm64.whl"], ONE),
        ([ONE, "uv-2.0.tar.gz", "uv-x-y.whl"], ONE),
    ],
    ids=["one", "newest", "prerelease", "yanked", "not yanked", "another machine", "no wheel"],
)
def test_the_newest_fitting_uv_is_taken(install, index, files, taken):
    offer(index, *(file if isinstance(file, tuple) else (file, {}) for file in files))
    install.fetch_uv({"index-url": index.url})
    assert install.UV.read_bytes() == taken.encode()
    assert install.UV.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in install.UV.parent.iterdir()] == ["uv"]
    page, accepted = index.asked[0]
    assert (page, "json" in accepted) == ("/simple/uv/", True)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_uv_of_this_kind_of_machine_is_taken(install, index, machine, monkeypatch):
    kinds = ("aarch64", "armv7l", "ppc64le", "x86_64")
    files = {kind: f"uv-1.0-py3-none-manylinux_2_17_{kind}.whl" for kind in kinds}
    offer(index, *((name, {}) for name in files.values()))
    monkeypatch.setattr("sysconfig.get_platform", lambda: f"linux-{machine}")
    install.fetch_uv({"index-url": index.url})
    assert install.UV.read_bytes() == files[machine].encode()


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_index_may_end_with_a_slash(install, index, slash):
    offer(index, (ONE, {}))
    install.fetch_uv({"index-url": index.url + slash})
    assert index.asked[0][0] == "/simple/uv/"


@pytest.mark.parametrize(
    "files, problem",
    [
        ([(ONE, {"hashes": {"sha256": "0" * 64}})], ValueError),
        ([(ONE, {"hashes": {}})], LookupError),
        ([(ONE, {"url": "../../files/none"})], OSError),
        ([("uv-2.0-py3-none-win_arm64.whl", {})], LookupError),
        ([], LookupError),
    ],
    ids=["another hash", "no hash", "no file", "none for this machine", "nothing"],
)
def test_a_uv_that_is_not_the_right_one_is_refused(install, index, files, problem):
    offer(index, *files)
    with pytest.raises(problem):
        install.fetch_uv({"index-url": index.url})
    assert not install.UV.exists()


def test_an_index_of_html_pages_is_refused(install, index):
    index.pages["/simple/uv/"] = b"<html>uv</html>"
    with pytest.raises(ValueError, match="Expecting value"):
        install.fetch_uv({"index-url": index.url})


@pytest.mark.parametrize("given, used", [({}, None), ({"TMPDIR": "/mine"}, "/mine")])
def test_downloads_go_to_a_disk(install, monkeypatch, tmp_path, given, used):
    left = install.UV.parent / "tmp" / "left by a killed run"
    left.mkdir(parents=True)
    monkeypatch.setattr(install.os, "environ", given)
    file = (tmp_path / "floors").open("w")
    monkeypatch.setattr(install.tempfile, "NamedTemporaryFile", lambda *_, **__: file)
    monkeypatch.setattr(install, "install", lambda *_: 7)
    assert install.main("/v", "pip", "no", "") == 7
    assert given["TMPDIR"] == used or str(left.parent)
    assert left.exists() == bool(used) and left.parent.is_dir()
