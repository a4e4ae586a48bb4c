"""What goes into the venv: settings, files, what was added; never what has a known hole."""

import pytest
from invoke import Exit
from msgspec.structs import replace

from fabfile import systemd
from fabfile.engine.converge import refuse_without_room
from fabfile.engine.host import LOCAL, Host, Request, proxies
from fabfile.engine.plan import apply_script
from fabfile.items import Change, File
from fabfile.manage import packages, upgrade
from fabfile.python import minimum_versions, requirements
from fabfile.settings import Settings
from fabfile.steps import STEPS

HOST = Host(added=("numpy", "pandas>=2"))
SERVER = "jupyter_server>=2.20.0"


@pytest.fixture
def file(tmp_path):
    """Give a function that writes a file and gives its path."""

    def write(text: str) -> str:
        path = tmp_path / "file.txt"
        path.write_text(text)
        return str(path)

    return write


def refusal(function, *arguments) -> str:
    with pytest.raises(Exit) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nobody_gets_a_server_with_a_hole_or_a_slow_start():
    assert requirements.wanted(Settings(), Host()) == ("jupyter", requirements.QUICK, SERVER)


@pytest.mark.parametrize(
    ("packages", "first"),
    [(("numpy", "pandas"), "jupyterlab"), (("JupyterLab~=4.4",), "JupyterLab~=4.4")],
)
def test_jupyterlab_comes_along_with_any_list_of_packages(packages, first):
    found = requirements.wanted(Settings(packages=packages), Host())
    assert found[0] == first and set(packages) <= set(found)
    assert sum(requirements.name(text) == "jupyterlab" for text in found) == 1


def test_nothing_is_added_to_a_lock(file):
    locked = Settings(lock=file("jupyter-server==2.21.1\n"))
    assert requirements.wanted(locked, Host()) == ("jupyter", "jupyter-server==2.21.1", SERVER)


def test_what_was_added_counts_unless_it_is_to_be_something_else():
    assert requirements.wanted(Settings(), HOST) == (
        "jupyter",
        *HOST.added,
        requirements.QUICK,
        SERVER,
    )
    assert requirements.wanted(Settings(), Request(added=("six",)).upon(HOST)) == (
        "jupyter",
        "six",
        requirements.QUICK,
        SERVER,
    )


def test_a_file_of_requirements_counts_without_its_comments(file):
    path = file("# mine\nscipy>=1  # for filters\n\nwheel\n")
    assert requirements.of_file(Settings(requirements=path)) == ("scipy>=1", "wheel")
    for bad in ("-r other.txt", "a b", "./folder"):
        said = refusal(requirements.of_file, Settings(requirements=file(bad)))
        assert said.startswith("lab.requirements: ") and "is not a pip requirement" in said
    assert "No such file" in refusal(requirements.of_file, Settings(requirements="/nowhere"))


def test_a_lock_holds_exact_versions_and_none_with_a_hole(file):
    path = file("# By fab\njupyter-server==2.21.1\ntornado==6.5\n")
    assert requirements.pins(Settings(lock=path)) == ("jupyter-server==2.21.1", "tornado==6.5")
    for bad in ("tornado>=6", "tornado==6.*", "tornado", "tornado==6; python_version<'4'"):
        assert "is not NAME==VERSION" in refusal(requirements.pins, Settings(lock=file(bad)))
    assert "CVE-2026-44727" in refusal(
        requirements.pins, Settings(lock=file("Jupyter_Server==2.19.9"))
    )


def test_the_floors_are_requirements_with_a_reason():
    assert len(minimum_versions.floors()) == len(minimum_versions.texts()) >= 3
    for name, (text, hole) in minimum_versions.floors().items():
        assert requirements.name(text) == name and hole.startswith("CVE-")


@pytest.mark.parametrize(
    "there, holes",
    [
        ({}, 0),
        ({"jupyter-server": "2.20.0"}, 0),
        ({"jupyter-server": "2.19.9", "jupyter-lsp": "2.2.1"}, 2),
        ({"jupyter-server-proxy": "3.2.4"}, 0),
        ({"jupyter-server-proxy": "4.1.2"}, 1),
        ({"jupyter-server-proxy": "4.2.0"}, 0),
        ({"tornado": "1"}, 0),
    ],
)
def test_a_hole_is_told(there, holes):
    assert len(minimum_versions.holes(there)) == holes


def test_what_is_typed_is_split_as_a_shell_does():
    assert packages.given("numpy 'pandas >= 2'") == ["numpy", "pandas >= 2"]
    assert packages.given("pandas>=2,<3") == ["pandas>=2,<3"]
    for bad in ("--upgrade", "http://x", "a'"):
        assert refusal(packages.given, bad).startswith("packages: ")
    assert "has a vulnerability" in refusal(packages.given, "jupyter_lsp==1.0")
    assert "at least one" in refusal(packages.given, " ")


def test_a_newer_word_on_a_package_counts():
    assert packages.with_more(("Num_Py", "six"), ["num-py>=2"]) == ("six", "num-py>=2")


def test_a_lock_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "lab.lock"
    requirements.write_lock(path, {"tornado": "6.5", "pip": "26", "jupyter": "1.1.1"}, "today")
    assert requirements.pins(replace(Settings(), lock=str(path))) == (
        "jupyter==1.1.1",
        "tornado==6.5",
    )
    assert [p.name for p in tmp_path.iterdir()] == ["lab.lock"]
    assert "was not written" in refusal(requirements.write_lock, tmp_path / "no/lock", {}, "")


def test_the_chief_names_come_first():
    assert upgrade.chief({"attrs": "1", "jupyterlab": "4", "jupyter": "1"})[:2] == [
        "jupyter",
        "jupyterlab",
    ]


@pytest.mark.parametrize("there", ["", "lab.example.org.pem", "lab.example.org.acme.pem"])
@pytest.mark.parametrize("tls", ["off", "self-signed", "letsencrypt"])
@pytest.mark.parametrize("site", ["own", "include"])
def test_a_step_has_the_same_items_whatever_the_host_has(site, tls, there, tmp_path):
    wanted = Settings(site=site, tls=tls, domain="lab.example.org", ca_folder=str(tmp_path))
    found = Host(certificates=there, ipv6=False)
    for step in STEPS:
        kinds = [[type(item) for item in step(wanted, host)] for host in (Host(), found)]
        assert kinds[0] == kinds[1], step


@pytest.mark.parametrize(
    ("found", "variables"),
    [
        (("", "", "10.0.0.0/8"), {}),
        (("", "http://p:3128", ""), {"no_proxy": LOCAL, "https_proxy": "http://p:3128"}),
        (("http://p:1", "http://p:2", "a,.b"),
         {"no_proxy": "a,.b", "http_proxy": "http://p:1", "https_proxy": "http://p:2"}),
        (('http://p" evil', "", ""), {}),
    ],
)  # fmt: skip
def test_the_proxies_of_a_server_reach_its_programs(found, variables):
    host = Host(proxies=proxies(*found))
    assert dict(host.proxies) == variables
    items = systemd.items(Settings(), host)
    (unit,) = [i.content for i in items if isinstance(i, File) and ".service" in i.path]
    script = str(apply_script(host, [], [], "me"))
    for name, value in variables.items():
        assert f'\nEnvironment="{name}={value}"\n' in unit
        assert f"\nexport {name}={value}\n" in script
    assert ("_proxy=" in unit) == bool(variables)


@pytest.mark.parametrize(
    ("free", "memory", "told"),
    [
        (599, 10**6, "599 MB free"),
        (600, 111, "111 MB of memory and swap are free"),
        (600, 112, ""),
        (600, -1, ""),  # not known
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(free, memory, told):
    host, install = Host(free=free, memory=memory), [Change("install", "", room=600)]
    if told:
        assert told in refusal(refuse_without_room, host, install)
    else:
        refuse_without_room(host, install)
    for more in (Change("restart", ""), Change("add packages", "", room=400)):
        refuse_without_room(Host(memory=memory), [more])  # beside a JupyterLab that runs
