"""Wheels of the tests' own, in a folder that a server's pip and uv look into."""

from __future__ import annotations

import base64
import io
import zipfile

FOLDER = "/srv/wheels"
KIND = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel(name: str, version: str, module: str, start: str) -> bytes:
    """A wheel as the binary distribution format has it: a module, and a line that runs at start."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": module,
        f"{name}.pth": f"import sys; {start}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": KIND,
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return packed.getvalue()


def offer(host, name: str, version: str = "1.0", module: str = "", start: str = "pass") -> None:
    """Put a wheel on the server, for all who install there.

    :param module: the text of the module that it brings.
    :param start: what runs whenever a Python with it starts, one line.
    """
    packed = base64.b64encode(wheel(name, version, module, start)).decode()
    host.exec(
        f"mkdir -p {FOLDER}\n"
        f"echo {packed} | base64 -d >{FOLDER}/{name}-{version}-py3-none-any.whl\n"
        f"pip config --quiet --global set global.find-links {FOLDER}\n"
        "rm -rf /home/david/.cache/uv"
    )
