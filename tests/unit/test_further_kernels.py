"""Further kernels: how lab.kernels is read, which items it makes, what is found on the server."""

import base64
import json
import os
from string import Template

import msgspec
import pytest
from dash import ME, applying, dash, reading, said
from fabric import Config
from invoke import Exit
from states import compared

from fabfile import kernels, ns, settings
from fabfile.engine.host import Host
from fabfile.items import Kernelspec, NoOthers, OwnVenv, Python, Venv
from fabfile.script import look
from fabfile.settings.schema import Kernel

HOST = Host(user="d", group="d", home="/h")
GIVEN = {
    "data": {"packages": ["pandas", "scikit-learn>=1"], "title": "Dätä"},
    "old": {"python": "~/py/bin/python3.9", "packages": "numpy<2 six"},
    "mine": {"venv": "~/envs/mine"},
    "bare": {},
}


def load(given) -> settings.Settings:
    config = Config(lazy=True)
    config.load_collection(ns.configuration())
    config.load_overrides({"lab": {"kernels": given}})
    return settings.load(config)


def refusal(read, *arguments) -> str:
    with pytest.raises(Exit) as caught:
        read(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- settings ----------------------------------------------------------------------------------


def test_kernels_are_plain_values():
    chosen = load(GIVEN)
    assert chosen.kernels == {
        "data": Kernel(packages=("pandas", "scikit-learn>=1"), title="Dätä"),
        "old": Kernel(python="~/py/bin/python3.9", packages=("numpy<2", "six")),
        "mine": Kernel(venv="~/envs/mine"),
        "bare": Kernel(),
    }
    assert [chosen.kernel_venv(name) for name in ("data", "mine")] == [
        "~/project/.kernels/data", "~/envs/mine",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "given, told",
    [
        ({"data": {"pakages": []}}, "data.pakages: no such setting; did you mean packages?"),
        ({"data": {"packages": 7}}, "data.packages: 7 is not accepted; give a list of pip"),
        ({"data": {"packages": ["-r x"]}}, "data.packages: ['-r x'] is not accepted; give a list"),
        ({"data": {"packages": ["x>>1"]}}, "data.packages: 'x>>1' is not a pip requirement"),
        ({"data": {"packages": None}}, "data.packages: None is not accepted; give a list of pip"),
        (
            {"data": {"python": "python3.9"}},
            "data.python: 'python3.9' is not accepted; give a path",
        ),
        ({"data": {"venv": "~/a b"}}, "data.venv: '~/a b' is not accepted; give ~/NAME"),
        (
            {"data": {"title": "a\nb"}},
            "data.title: 'a\\nb' is not accepted; give up to",
        ),
        ({"data": {"title": ""}}, "data.title: '' is not accepted; give up to 60"),
        ({"data": None}, "data: None is not accepted; give a group such as {packages: [pandas]}"),
        ({"data": ["pandas"]}, "data: ['pandas'] is not accepted; give a group"),
        ({"data": {"venv": "~/x", "packages": ["y"]}}, "data: your own venv is never"),
        ({"data": {"venv": "~/x", "python": "/usr/bin/python3"}}, "data: your own venv is never"),
    ],
)
def test_a_bad_kernel_is_refused_with_its_path(given, told):
    assert refusal(load, given).startswith(f"lab.kernels.{told}")


@pytest.mark.parametrize("name", ["python3", "Data", "a b", "../x", "x\n", "-x", "", "x" * 65, 3])
def test_a_name_that_is_none_is_refused(name):
    told = f"lab.kernels: {name!r} is not a kernel name; give lower-case letters"
    assert refusal(load, {name: {}}).startswith(told)


@pytest.mark.parametrize("variable", ["FABRIC_LAB_KERNELS", "FABRIC_LAB_KERNELS_DATA_PACKAGES"])
def test_the_environment_cannot_give_kernels(monkeypatch, variable):
    monkeypatch.setenv(variable, "data")
    told = refusal(load, {})
    assert told.startswith("FABRIC_LAB_KERNELS: kernels cannot be set in the environment: put")


# --- items -------------------------------------------------------------------------------------


def wanted(**given) -> dict[str, list]:
    """The items that are made of these kernels, by kind."""
    found: dict[str, list] = {}
    for item in kernels.items(load(given), HOST):
        found.setdefault(type(item).__name__, []).append(item)
    return found


def test_each_kernel_has_what_it_needs():
    found = wanted(**GIVEN)
    assert [(v.path, v.python, v.requirements, v.anew) for v in found["Venv"]] == [
        ("/h/project/.kernels/data", "python3", ("ipykernel", "pandas", "scikit-learn>=1"),
         "made from python3"),
        ("/h/project/.kernels/old", "/h/py/bin/python3.9", ("ipykernel", "numpy<2", "six"),
         "made from /h/py/bin/python3.9"),
        ("/h/project/.kernels/bare", "python3", ("ipykernel",), "made from python3"),
    ]  # fmt: skip
    assert [item.path for item in found["Kernelspec"]] == [
        f"/h/.local/share/jupyter/kernels/{name}/kernel.json" for name in GIVEN
    ]
    assert [item.path for item in found["Python"]] == ["/h/py/bin/python3.9"]
    assert [item.path for item in found["OwnVenv"]] == ["/h/envs/mine"]
    assert found["NoOthers"][0].registered == set(GIVEN)
    assert found["NoOthers"][0].made == {"data", "old", "bare"}


def test_without_kernels_others_are_looked_for_all_the_same():
    assert list(wanted()) == ["NoOthers"]


@pytest.mark.parametrize("home", ["/h", "/srv/it's $HOME/$$/x", "/h/ünder two"])
def test_a_kernelspec_leads_to_its_venv_whatever_the_home(home):
    spec = json.loads(kernels.kernelspec("data", 'The "data"', f"{home}/project/.kernels/data"))
    assert spec["argv"][0] == f"{home}/project/.kernels/data/bin/python"
    assert spec["display_name"] == 'The "data"'
    path = Template(spec["env"]["PATH"]).safe_substitute(PATH="/usr/bin", HOME="/x")  # as Jupyter
    assert path == f"{home}/project/.kernels/data/bin:/usr/bin"
    assert spec["metadata"] == {"debugger": True, "jupyterlab_fab": "data"}


SPEC = Kernelspec(
    name="data", path="/k/data/kernel.json", content='{"metadata": {"jupyterlab_fab": "data"}}\n',
    owner="d", group="d", home="/h", python="/v/bin/python",
)  # fmt: skip


def shown(text: str) -> list[str]:
    return ["regular file|d|d|644", base64.b64encode(text.encode()).decode()]


@pytest.mark.parametrize(
    "lines, said",
    [
        (["absent"], "register the kernel data"),
        (shown(SPEC.content), None),
        (shown('{"metadata": {"jupyterlab_fab": "data"}, "x": 1}'), "replace /k/data/kernel.json"),
    ],
)
def test_a_kernel_of_ours_is_registered(lines, said):
    change = compared(SPEC, lines, set())
    assert (change and change.say) == said


@pytest.mark.parametrize(
    "text", ["{}", "", "no json", "[]", '{"metadata": 1}', '{"metadata": {"jupyterlab_fab": "x"}}']
)
def test_a_kernel_of_the_users_own_is_never_replaced(text):
    told = refusal(compared, SPEC, shown(text), set())
    assert told.startswith("lab.kernels.data: /k/data/kernel.json was not made by fab: choose")


@pytest.mark.parametrize("there", [["absent"], shown('{"metadata": {"jupyterlab_fab": "data"}}')])
def test_a_kernel_is_tried_before_it_is_offered(there):
    first, *_ = compared(SPEC, there, set()).shell.splitlines()
    assert first == "as_user d /h /v/bin/python -c 'import ipykernel.kernelapp'"


@pytest.mark.parametrize(
    "sandbox, path, refused",
    [
        ("strict", "/home/other/envs/x", True),
        ("strict", "/root/x", True),
        ("strict", "/home/david/envs/x", False),
        ("strict", "~/envs/x", False),
        ("strict", "/opt/x", False),
        ("standard", "/home/other/envs/x", False),
    ],
)
def test_what_the_sandbox_hides_is_refused(sandbox, path, refused):
    chosen = msgspec.structs.replace(load({"x": {"venv": path}}), sandbox=sandbox)
    host = Host(user="david", group="david", home="/home/david")
    own = next(item for item in kernels.items(chosen, host) if isinstance(item, OwnVenv))
    if refused:
        told = f"lab.kernels.x.venv: {path} is in a home that lab.sandbox: strict hides"
        assert refusal(compared, own, ["there"], set()).startswith(told)
    else:
        assert compared(own, ["there"], set()) is None


STATUS = {"/var/lib/dpkg/status"}  # what the packages of this run touch


@pytest.mark.parametrize(
    "path, lines, touched, refused",
    [
        ("/usr/bin/python3.9", ["there"], set(), False),
        ("/usr/bin/python3.9", ["absent"], set(), True),
        ("/usr/bin/python3.9", ["absent"], STATUS, False),
        ("/opt/python3.9", ["absent"], STATUS, True),
    ],
)
def test_a_python_must_be_there_or_may_come_with_a_package(path, lines, touched, refused):
    item = Python(path=path, setting="lab.kernels.old.python")
    if refused:
        told = f"lab.kernels.old.python: there is no Python at {path}: install"
        assert refusal(compared, item, lines, touched).startswith(told)
    else:
        assert compared(item, lines, touched) is None


def test_another_python_means_another_venv():
    record = base64.b64encode(b"ipykernel\n# made from /usr/bin/python3.9\n").decode()

    def change(python: str):
        venv = Venv(path="/v", owner="d", home="/h", requirements=("ipykernel",), python=python,
                    anew=f"made from {python}")  # fmt: skip
        return compared(venv, [record, "ipykernel-6"], set())

    assert change("/usr/bin/python3.9") is None
    assert change("/usr/bin/python3.11").say == "install ipykernel into /v (uv, from scratch)"
    assert "fill_venv /v d /h /usr/bin/python3.11 anew uv " in change("/usr/bin/python3.11").shell


# --- what is found on the server ---------------------------------------------------------------


@pytest.fixture
def place(tmp_path):
    """Kernelspecs and venvs of every kind: ours, former ones of ours, and others'."""

    def spec(name: str, metadata) -> None:
        folder = tmp_path / "specs" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps({"metadata": metadata}, indent=2))

    for name in ("data", "former"):
        spec(name, {"debugger": True, "jupyterlab_fab": name})
        (tmp_path / "venvs" / name).mkdir(parents=True)
        (tmp_path / "venvs" / name / ".converged").touch()
    spec("a copy", {"jupyterlab_fab": "data"})
    spec("theirs", {})
    spec("spec", {"jupyterlab_fab": "../../x"})
    (tmp_path / "specs" / "no json").mkdir()
    (tmp_path / "venvs" / "by-hand").mkdir()
    (tmp_path / "venvs" / "half").mkdir()
    (tmp_path / "venvs" / "half" / ".converged").write_text("filling")
    return tmp_path


@pytest.mark.parametrize(
    "registered, made, gone",
    [
        ({"data", "former"}, {"data", "former", "half"}, set()),
        ({"data"}, {"data", "half"}, {"specs/former", "venvs/former"}),
        ({"data", "former"}, {"data", "half"}, {"venvs/former"}),  # its venv is one's own now
        (set(), set(), {"specs/data", "specs/former", "venvs/data", "venvs/former", "venvs/half"}),
    ],
)
def test_what_left_the_setting_is_removed_and_nothing_else(place, registered, made, gone):
    def tree() -> set[str]:
        return {
            str(p.relative_to(place)) for k in ("specs", "venvs") for p in (place / k).iterdir()
        }

    item = NoOthers(
        specs=f"{place}/specs", venvs=f"{place}/venvs", owner=ME,
        registered=frozenset(registered), made=frozenset(made),
    )  # fmt: skip
    before = tree()
    change = compared(item, said(f"{reading()}{item.read()}"), set())
    assert (change is None) == (not gone)
    if change:
        done = dash(f"{applying(place)}set -e\n{change.shell}\n")
        assert (done.returncode, done.stderr) == (0, b"")
    assert before - tree() == gone
    assert compared(item, said(f"{reading()}{item.read()}"), set()) is None


def test_where_nothing_is_nothing_is_found(tmp_path):
    assert said(f"{reading()}{look('show_kernels', f'{tmp_path}/a', f'{tmp_path}/b')}") == []


@pytest.mark.parametrize(
    "files, found",
    [
        ([], "absent"),
        (["bin/python"], "lacking"),
        (["bin/python", "lib/python3.9/site-packages/ipykernel/x"], "there"),
        (["bin/python", "lib/pypy3.9/site-packages/ipykernel/x"], "there"),
        (["lib/python3.9/site-packages/ipykernel/x"], "absent"),
    ],
)
def test_a_venv_is_seen_to_have_ipykernel(tmp_path, files, found):
    for name in files:
        path = tmp_path / "it's $x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
    item = OwnVenv(path=f"{tmp_path}/it's $x", setting="lab.kernels.mine.venv")
    lines = said(f"{reading()}{item.read()}")
    assert lines == [found]
    if found == "there":
        assert compared(item, lines, set()) is None
    else:
        assert refusal(compared, item, lines, set()).startswith("lab.kernels.mine.venv: ")


@pytest.mark.parametrize("setting, found", [("true", "there"), ("false", "lacking")])
def test_a_venv_may_have_debians_ipykernel(tmp_path, setting, found):
    place = tmp_path / "dist-packages"
    (place / "ipykernel").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").touch(mode=0o755)
    (tmp_path / "pyvenv.cfg").write_text(f"home = /usr\ninclude-system-site-packages = {setting}\n")
    functions = reading().replace("/usr/lib/python3/dist-packages", str(place))
    assert said(f"{functions}{look('show_ipykernel', str(tmp_path))}") == [found]


def test_an_interpreter_is_a_program(tmp_path):
    for name, mode in {"program": 0o755, "text": 0o644}.items():
        (tmp_path / name).touch(mode=mode)
    os.mkdir(tmp_path / "folder")
    names = ("program", "text", "folder", "nothing")
    asked = "\n".join(look("show_interpreter", f"{tmp_path}/{name}") for name in names)
    assert said(f"{reading()}{asked}") == ["there", "absent", "absent", "absent"]
