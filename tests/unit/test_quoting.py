"""Whatever is said to the shell arrives there as it was meant: the shell itself is asked."""

import pytest
from dash import dash, said

from fabfile.script import call, look, quote

ODD = {
    "plain": "/etc/hosts",
    "space": "/a b  c",
    "single quote": "/o'neill",
    "double quote": '/say "x"',
    "dollar": "/$HOME/${x}/$(id)",
    "backtick": "/`id`",
    "backslash": "/a\\b\\n",
    "umlaut": "/Bücher/ß",
    "newline": "/a\nb",
    "tab": "/a\tb",
    "semicolon": "/a;id&|<>",
    "leading dash": "-rf",
    "question mark": "/?[a-z]",
    "tilde inside": "/a/~/b",
    "hash": "#x",
    "empty": "",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in ODD.items()])
def test_a_text_arrives_as_it_is(text):
    assert dash(f"printf %s {quote(text)}").stdout.decode() == text


@pytest.mark.parametrize("home", ["/home/david", "/home/o'neill $x", "/home/two words/*"])
@pytest.mark.parametrize("rest", ["x", "a b", ".jupyter/it's", "$y"])
def test_a_leading_tilde_is_the_home(home, rest):
    assert said(f"printf '%s\\n' {quote('~/' + rest)}", home=home) == [f"{home}/{rest}"]


@pytest.mark.parametrize(
    "pattern, found",
    [
        ("*.txt", ["a b.txt", "it's.txt"]),
        ("a b*", ["a b.log", "a b.txt"]),
        ("it's*", ["it's.txt"]),
        ("sub */x*y", ["sub dir/x$y"]),
        ("none*", ["none*"]),
    ],
)
def test_a_star_finds_files(tmp_path, pattern, found):
    (tmp_path / "sub dir").mkdir()
    for name in ("a b.txt", "a b.log", "it's.txt", "sub dir/x$y"):
        (tmp_path / name).touch()
    assert said(f"printf '%s\\n' {quote(f'{tmp_path}/{pattern}')}") == [
        f"{tmp_path}/{name}" for name in found
    ]


def test_a_requirement_with_a_star_is_not_a_file(tmp_path):
    (tmp_path / "numpy==2.9; evil").touch()
    assert said(call("printf", "%s\n", "numpy==2.*"), cwd=tmp_path) == ["numpy==2.*"]


COUNT = "count() { echo $#; printf '<%s>' \"$@\"; }\n"


def test_arguments_stay_apart():
    done = said(COUNT + call("count", "a b", "", "c\nd", 7, "~/x", "*"))
    assert done == ["6", "<a b><><c", "d><7><~/x><*>"]


def test_paths_stay_apart_and_are_found(tmp_path):
    (tmp_path / "it's 1").touch()
    done = said(COUNT + look("count", "~/it's *", "", "~/none*", "~"), home=tmp_path)
    assert done == ["4", f"<{tmp_path}/it's 1><><{tmp_path}/none*><{tmp_path}>"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("one\ntwo\n", id="lines"),
        pytest.param("", id="nothing"),
        pytest.param("$HOME `id` \\n $(id) 'x' \"y\"\n", id="what shells expand"),
        pytest.param("a\nEND\nid\n", id="the marker"),
        pytest.param("END\n", id="only the marker"),
        pytest.param("END\nEND_\nEND__\n", id="longer markers"),
        pytest.param(" END\nEND \n", id="nearly the marker"),
        pytest.param("a\n\n\n", id="empty lines at the end"),
        pytest.param("ümläut\tund\r\n", id="umlauts and CRLF"),
        pytest.param("a\nEND", id="the marker without line end"),
        pytest.param("no line end", id="no line end"),
    ],
)
def test_a_text_becomes_the_input(text):
    done = dash(call("cat", text=text) + "\necho after")
    wanted = text if text.endswith("\n") else f"{text}\n"
    assert (done.stdout.decode(), done.stderr) == (f"{wanted}after\n", b"")
