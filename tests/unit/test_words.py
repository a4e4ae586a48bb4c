"""Plain words: docstrings begin with a verb, and the words of a table are said otherwise."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.machine import ROOT

# What is not written -> what is written instead.
INSTEAD = {
    r"over there": "on the server",
    r"as wanted": "up to date",
    r"(did|does|do) not take\b(?! (a|the|any|more|longer))": "is still not applied; is rejected",
    r"in (the )?clear\b": "unencrypted",
    r"(?<!-)\banew\b": "again; create ... again",
    r"\bdeeds?\b": "action",
    r"\bailments?\b": "cause",
    r"\bcrew\b": "workers",
    r"\bwho(so)?ever\b": "anyone who; the person who",
    r"\bat odds\b": "do not fit together; contradict each other",
    r"\bbehind (their|its|somebody's) backs?\b": "without telling ...",
    r"\bof (ours|theirs|mine|yours|root's|nobody's|somebody's)\b": "our ...; the user's ...",
    r"\b(is|are|can|may|could|cannot|not|to) be had\b": "is available; can be obtained",
    r"\blets? (nobody|somebody|anybody) in\b": "refuses logins; accepts logins",
    r"\bmend(s|ed|ing)?\b": "fix; repair",
    r"\b(security |known )?holes?\b": "vulnerability",
    r"\bfloors?\b": "minimum version",
    r"\b(is|are|was|were) to (be|have)\b": "must be; should be; will be",
    r"\bone's\b": "your; the user's",
    r"\b(for|to) eyes\b": "for people to read",
    r"\bthe like of\b": "such as",
    r"\bcomes? along\b": "is installed with it",
    r"\bwell enough\b": "in order",
    r"\bwhose hand\b": "who could change",
    r"\bhand edits?\b": "manual changes",
}
HEADLESS = {
    "What", "Who", "Whom", "Whose", "Whether", "Where", "When", "Which", "How", "Those", "These",
    "That", "All", "Every", "One", "None", "Nothing", "Same", "So", "Its", "Whole",
}  # fmt: skip
# What only looks like words; the last two are words of the protocol between Python and the shell.
CODE = re.compile(r":param \w+:|`[^`\n]*`|\{[^{}\n]*\}|\bjudged \w+|= anew\b")
PROSE = ("README.md", "ARCHITECTURE.md", "docs/*.md")
SHELL = ("templates/**/*.sh", "templates/**/*.j2", "templates/**/*.conf", "bootstrap")
PYTHON = ("fabfile/**/*.py", "templates/**/*.py", "testbed/*.py", "tasks.py")


def files(*patterns: str) -> list[Path]:
    """Return the files of the project that fit the patterns."""
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file())


def spoken(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what people read in a file, with its line: of Python the comments and the strings."""
    text = path.read_text()
    if path.suffix != ".py":
        yield from enumerate(CODE.sub("", text).splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) and " " in token.string:
            lines = CODE.sub("", token.string).splitlines()
            yield from enumerate(lines, token.start[0])


@pytest.mark.parametrize(
    "path", files(*PROSE, *SHELL, *PYTHON), ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_words_of_the_table_are_not_used(path):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r}: write {better!r}"
        for number, line in spoken(path)
        for bad, better in INSTEAD.items()
        for match in re.finditer(bad, line)
    ]
    assert found == []


def documented(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Yield each function and class that has a docstring, with its first word."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and (words := ast.get_docstring(node)):
            yield node, words.split()[0]


def is_property(node: ast.FunctionDef) -> bool:
    """Say whether a function is read like a value."""
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


@pytest.mark.parametrize(
    "path",
    files("fabfile/**/*.py", "testbed/*.py", "tasks.py"),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_a_docstring_begins_with_a_verb_and_that_of_a_class_with_a_noun(path):
    found = []
    for node, first in documented(path):
        what = isinstance(node, ast.ClassDef) or is_property(node)
        bad = first in HEADLESS if what else first in HEADLESS | {"The", "A", "An"}
        if bad or (not what and first.rstrip(",.").endswith("s") and first not in VERBS_IN_S):
            found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}: {first} ...")
    assert found == []


VERBS_IN_S = {"Pass", "Process", "Compress", "Express", "Address", "Guess", "Focus", "Access"}
