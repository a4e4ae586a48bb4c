"""Which settings files are read, and what `check` says about each setting."""

import json

import pytest
from fabric import Config, Executor

from fabfile import ns
from fabfile.program import Program

HERE, HOME = "lab: {domain: here.example.org}", "lab: {domain: home.example.org, login_rate: 30}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand in an empty folder, with an empty home."""
    home, here = tmp_path / "home", tmp_path / "here"
    (home / ".config" / "jupyterlab-fab").mkdir(parents=True)
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    for task in ns.tasks.values():  # Invoke takes the help of a task's options away
        monkeypatch.setattr(task, "help", {**task.help})
    return here


@pytest.fixture
def mine(folder):
    """Give the operator's own settings file, in the home."""
    path = folder.parent / "home" / ".config" / "jupyterlab-fab" / "fabric.yaml"
    path.write_text(HOME)
    return path


@pytest.fixture
def run(folder, capsys):
    """Give a function that runs the installed command and returns its exit code and its outputs."""

    def run(*words: str) -> tuple[int, str, str]:
        program = Program(
            name="jupyterlab-fab", namespace=ns, executor_class=Executor, config_class=Config
        )
        code = 0
        try:
            program.run(["jupyterlab-fab", *words])
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def checked(run):
    """Give a function that returns the files that were read, and each setting with its source."""

    def checked(*words: str) -> tuple[list[str], dict]:
        code, told, _ = run(*words, "check", "--json")
        assert code == 0
        found = json.loads(told)
        return found["files"], found["settings"]

    return checked


def test_without_a_file_all_settings_have_their_defaults(checked):
    files, settings = checked()
    assert files == [] and {one["source"] for one in settings.values()} == {"default"}


def test_the_file_of_the_folder_counts_and_that_of_the_home_does_not(folder, mine, checked):
    (folder / "fabric.yaml").write_text(HERE)
    files, settings = checked()
    assert files == [str(folder / "fabric.yaml")]
    assert settings["domain"] == {"value": "here.example.org", "source": files[0]}
    assert settings["login_rate"]["source"] == "default"


def test_without_a_file_in_the_folder_that_of_the_home_counts(mine, checked):
    files, settings = checked()
    assert files == [str(mine)]
    assert settings["login_rate"] == {"value": 30, "source": str(mine)}


def test_tasks_in_a_folder_read_the_home_too(mine):
    config = Config(lazy=True, project_location=mine.parent.parent)
    config.load_project()
    assert config["lab"]["domain"] == "home.example.org"


def test_each_layer_overrides_those_before_it(folder, mine, checked, monkeypatch):
    (folder / ".." / "home" / ".fabric.yaml").write_text("lab: {domain: a.org, cull_after: 300}")
    (folder / "more.yaml").write_text("lab: {sleep_after: 600}")
    monkeypatch.setenv("FABRIC_LAB_LOGIN_RATE", "40")
    _, settings = checked("-f", str(folder / "more.yaml"))
    told = {name: one for name, one in settings.items() if one["source"] != "default"}
    assert {name: one["value"] for name, one in told.items()} == {
        "domain": "home.example.org", "cull_after": 300, "login_rate": 40, "sleep_after": 600,
    }  # fmt: skip
    sources = [told[name]["source"] for name in ("domain", "login_rate", "sleep_after")]
    assert sources == [str(mine), "FABRIC_LAB_LOGIN_RATE", str(folder / "more.yaml")]
    assert told["cull_after"]["source"].endswith(".fabric.yaml")


GROUP = """
groups: {class: {hosts: [h1, h2], users: [anna, ben], lab: {login_rate: %s}}}
"""


def test_with_a_host_the_settings_of_its_group_are_shown(folder, checked):
    (folder / "fabric.yaml").write_text(GROUP % 20)
    _, settings = checked("-H", "anna@h1")
    assert settings["login_rate"] == {"value": 20, "source": "its group"}
    _, settings = checked()
    assert settings["login_rate"]["source"] == "default"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("lab: {domian: x.org}", "did you mean domain?", id="a misspelt name"),
        pytest.param("lab: {tls: files}", "needs lab.tls_certificate", id="at odds"),
        pytest.param("lab: {requirements: none.txt}", "none.txt", id="a file that is missing"),
        pytest.param(GROUP % 0, "anna/h1: lab.login_rate: 0", id="a bad value in a group"),
        pytest.param("hosts: [5]", "hosts: 5", id="a host that is none"),
    ],
)
def test_a_fault_is_one_line(folder, run, text, words):
    (folder / "fabric.yaml").write_text(text)
    code, told, refusal = run("check")
    assert (code, told, len(refusal.splitlines())) == (1, "", 1) and words in refusal


def test_a_proxy_is_shown_without_its_login(folder, run):
    (folder / "fabric.yaml").write_text("lab: {proxy: 'http://anna:s3cret@192.0.2.9:3128'}")
    _, told, _ = run("check")
    assert "//***@192.0.2.9:3128" in told and "s3cret" not in told


def test_the_sources_stand_beside_the_settings(mine, run):
    code, told, _ = run("check")
    set_here, _, defaults = told.partition("not set: the defaults")
    assert code == 0 and f"read: {mine}" in set_here
    assert [line.split() for line in set_here.splitlines() if "login_rate" in line] == [
        ["login_rate", "30", "from", str(mine)]
    ]
    assert "login_rate" not in defaults and "cull_after" in defaults


def test_the_version_names_the_tool_and_what_it_deploys(run):
    code, told, _ = run("--version")
    assert code == 0
    for words in ("jupyterlab-fab ", "Fabric 3.", "jupyter_server>=", "Nginx", "Debian 12"):
        assert words in told
