"""Words after `fab`: several for one option, and hints for those that nobody knows."""

import pytest
from invoke.exceptions import ParseError
from invoke.parser import Parser

from fabfile import ns


def parsed(*words: str) -> list[tuple[str, dict]]:
    """The tasks that were typed, with the options that were given."""
    found = Parser(contexts=ns.to_contexts()).parse_argv([*words])
    return [(one.name, {k: v for k, v in one.as_kwargs.items() if v}) for one in found]


@pytest.mark.parametrize(
    "words, tasks",
    [
        ("packages --add numpy", [("packages", {"add": "numpy"})]),
        (
            "packages --add numpy pandas>=2 scipy",
            [("packages", {"add": "numpy 'pandas>=2' scipy"})],
        ),
        ("packages --remove a b --list", [("packages", {"remove": "a b", "list": True})]),
        ("packages --add numpy status", [("packages", {"add": "numpy"}), ("status", {})]),
        ("packages --add=numpy pandas", [("packages", {"add": "numpy pandas"})]),
        ("packages -a numpy pandas", [("packages", {"add": "numpy pandas"})]),
    ],
)
def test_several_packages(words, tasks):
    assert parsed(*words.split()) == tasks


@pytest.mark.parametrize(
    "words, hint",
    [
        ("statu", "no task is called statu; did you mean status?"),
        ("full pandas", "no task is called pandas; fab --list shows all tasks"),
        ("logs --since now more", "no task is called more; "),
        ("packages --ad numpy", "packages has no option --ad; did you mean --add?"),
        ("full --x", "full has no option --x; fab --help full shows its options"),
    ],
)
def test_a_word_that_is_unknown(words, hint):
    with pytest.raises(ParseError) as told:
        parsed(*words.split())
    assert str(told.value).startswith(hint)
