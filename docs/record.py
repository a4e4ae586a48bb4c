"""Record `fab init` on a bare server in a container, as docs/pictures/first-run.svg.

The picture shows what the terminal showed, each line when it came: an SVG with CSS animations.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import time
from html import escape
from pathlib import Path

from testbed import demo
from testbed.machine import ROOT

PICTURE = ROOT / "docs" / "pictures" / "first-run.svg"
# The end of a question -> what is typed.
ANSWERS = {
    "such as david@1.1.1.1: ": "{server}",
    "empty if there is none: ": "",
    "logs in. [y/N] ": "n",
    "Write this file? [Y/n] ": "y",
    "Run full now? [Y/n] ": "y",
}
THINKING = 1.0  # seconds until an answer is typed
COLUMNS, LEADING = 110, 18  # characters, pixels
STYLE = """
rect { fill: #1e1e2e } text { fill: #cdd6f4; font: 13px monospace; white-space: pre }
.typed { fill: #a6e3a1 } text { animation: come 0s both } @keyframes come { from { opacity: 0 } }
"""


def record(folder: Path) -> list[tuple[float, str]]:
    """Run `fab init` in an empty project on a fresh server; return its lines, with their times.

    :param folder: an empty folder, for the project, and the operator's home.
    """
    host = demo.up()
    for part in ("fabfile", "templates"):
        (folder / part).symlink_to(ROOT / part)
    (folder / "hosts").write_text("127.0.0.1 localhost\n")
    env = {
        **os.environ,
        "HOME": str(folder),
        "FABRIC_LAB_KNOWN_HOSTS": str(demo.FOLDER / "known_hosts"),
        "FABRIC_LAB_HOSTS_FILE": str(folder / "hosts"),
    }
    key = shutil.copy(demo.FOLDER / "key", folder)
    command = [Path(sys.executable).parent / "fab", "-i", key, "init"]
    ours, theirs = pty.openpty()  # asked for answers; its output is a pipe: no spinner
    program = subprocess.Popen(
        command, cwd=folder, env=env, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    answers = {q: a.format(server=f"{demo.USER}@{host.address}") for q, a in ANSWERS.items()}
    began, lines, line = time.monotonic(), [(0.0, "$ fab init")], ""
    while char := program.stdout.read(1).decode(errors="replace"):
        line += "" if char == "\n" else char
        question = next((q for q in answers if line.endswith(q)), None)
        if question is not None:
            time.sleep(THINKING)
            answer = answers.pop(question)
            os.write(ours, f"{answer}\n".encode())
            char, line = "\n", line + answer
        if char == "\n":
            lines.append((time.monotonic() - began, line.replace(str(folder), "~")))
            line = ""
    os.close(ours)
    os.close(theirs)
    if program.wait():
        sys.exit("\n".join(text for _, text in lines))
    return lines


def picture(lines: list[tuple[float, str]]) -> str:
    """Return an SVG in which each line appears at its time; without animations it shows all."""
    rows = []
    for seconds, text in lines:
        kind = "typed" if text.startswith("$ ") else ""
        for start in range(0, max(len(text), 1), COLUMNS):
            part = escape(text[start : start + COLUMNS])
            y = LEADING * (len(rows) + 1)
            style = f"animation-delay: {seconds:.1f}s"
            rows.append(f'<text class="{kind}" x="10" y="{y}" style="{style}">{part}</text>')
    width, height = COLUMNS * 8 + 20, LEADING * (len(rows) + 1)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
    body = "\n".join(rows)
    return f'{head}\n<style>{STYLE}</style>\n<rect width="100%" height="100%"/>\n{body}\n</svg>\n'


def main(folder: Path) -> None:
    """Record, write the picture, and remove the server."""
    try:
        PICTURE.write_text(picture(record(folder)))
    finally:
        demo.down()
