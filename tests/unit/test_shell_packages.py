"""apt_get after a full disk or a killed dpkg: the real apt and dpkg, in a folder of the test's."""

import hashlib
import re
import shutil
import subprocess

import pytest
from dash import applying, dash

from fabfile.engine.hints import explain

STATES = {
    "unpacked": "install ok unpacked",
    "half": "install reinstreq half-installed",
    "unsure": "install reinstreq unpacked",
    "failed": "install ok half-configured",
}
NEEDS = {
    "aaa": "bbb",
    "bbb": "ccc",
    "ccc": "aaa",
    "ddd": "aaa",
}  # three in a circle, as Node.js has


@pytest.fixture
def debian(tmp_path):
    """A Debian of four packages: give the lines that put its apt and dpkg before the system's."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("apt and dpkg are needed")
    root = tmp_path / "debian"
    for folder in ("dpkg/info", "dpkg/updates", "apt/lists/partial"):
        (root / "var/lib" / folder).mkdir(parents=True)
    for folder in ("bin", "repo", "etc/apt", "var/cache/apt/archives/partial", "var/log/apt"):
        (root / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    listed = ""
    for name, needed in NEEDS.items():
        deb, source = root / f"repo/{name}.deb", root / name
        (source / "DEBIAN").mkdir(parents=True)
        fields = f"Package: {name}\nVersion: 1\nArchitecture: all\nDepends: {needed}\n"
        fields += "Maintainer: x <x@example.org>\nDescription: x\n"
        (source / "DEBIAN/control").write_text(fields)
        (source / name).touch()
        subprocess.run(["dpkg-deb", "-b", source, deb], check=True, capture_output=True)
        data = deb.read_bytes()
        listed += f"{fields}Filename: ./{name}.deb\nSize: {len(data)}\n"
        listed += f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    (root / "repo/Packages").write_text(listed)
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{root}/repo ./\n")
    (root / "apt.conf").write_text(
        f'Dir "{root}";\nDir::State::status "{root}/var/lib/dpkg/status";\n'
        f'Dir::Bin::dpkg "{root}/bin/dpkg";\nAPT::Sandbox::User "";\n'
    )
    for tool, options in {
        "dpkg": f"--root={root} --force-not-root --force-bad-path --log=/dev/null",
        "dpkg-query": f"--admindir={root}/var/lib/dpkg",
    }.items():
        (root / "bin" / tool).write_text(f'#!/bin/sh\nexec {shutil.which(tool)} {options} "$@"\n')
        (root / "bin" / tool).chmod(0o755)
    lines = f"export APT_CONFIG={root}/apt.conf PATH={root}/bin:$PATH LC_ALL=C recommends=false\n"
    lines += 'mkdir -p "$run/own"; : >"$run/own/packages"; lock_wait=5\n'
    return applying(tmp_path) + lines


def install(debian: str):
    return dash(f"{debian}apt_get update >&2 && apt_get install -- ddd", timeout=60)


def states(tmp_path) -> dict[str, str]:
    text = (tmp_path / "debian/var/lib/dpkg/status").read_text()
    return dict(re.findall(r"Package: (\S+)\nStatus: (.+)", text))


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize(
    "left",
    [
        {"aaa": "unpacked", "bbb": "unpacked", "ccc": "unsure"},
        {"bbb": "unsure", "ccc": "unpacked"},
        {"ccc": "half"},
        {"aaa": "half", "bbb": "failed", "ccc": "unsure"},
        {"aaa": "unpacked", "bbb": "failed", "ccc": "unpacked"},
    ],
    ids=lambda left: " ".join(left.values()),
)
def test_what_a_full_disk_left_is_completed(debian, tmp_path, left, interrupted):
    whole = dict.fromkeys(NEEDS, "install ok installed")
    done = install(debian)
    assert (done.returncode, states(tmp_path)) == (0, whole), done
    status = tmp_path / "debian/var/lib/dpkg/status"
    blocks = [b for b in status.read_text().split("\n\n") if b[9:12] in left]
    status.write_text("".join(
        re.sub("Status: .*", f"Status: {STATES[left[b[9:12]]]}", b) + "\n\n" for b in blocks
    ))  # fmt: skip
    if interrupted:
        (status.parent / "updates/0000").write_text(status.read_text().split("\n\n")[0] + "\n")
    done = install(debian)
    assert (done.returncode, states(tmp_path)) == (0, whole), done


def test_the_first_error_of_dpkg_is_said_last(debian, tmp_path):
    tool = tmp_path / "debian/bin/apt-get"
    waits = "dpkg: error processing package one (--configure):\\n dependency problems - leaving\\n"
    cause = "dpkg: error processing package two (--configure):\\n installed script failed\\n"
    tool.write_text(
        f'#!/bin/sh\nprintf "{waits}{cause}{waits}E: dpkg returned an error\\n" >&2\nexit 1'
    )
    tool.chmod(0o755)
    done = dash(f"{debian}apt_get install -- ddd")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-2:] == cause.split("\\n")[:-1]


def install_needed(debian: str, root, *sources: tuple[str, str]):
    """Run install_packages as a step does, beside further sources of apt."""
    (root / "etc/apt/sources.list.d").mkdir()
    for name, text in sources:
        (root / "etc/apt" / name).write_text(text)
    script = debian.replace("/etc/apt/sources", f"{root}/etc/apt/sources")
    script = script.replace("/var/lib/apt/lists", f"{root}/var/lib/apt/lists")
    step = "set -e; remember_index() { :; }; intend() { :; }; install_packages false ddd"
    return dash(f'{script}({step}); code=$?; cat "$run/own/notes"; exit $code', timeout=60)


def break_other(root, bin_path: str):
    """Install a package of somebody else whose postinst fails: there is no shell to run it."""
    source = root / "other"
    (source / "DEBIAN").mkdir(parents=True)
    (source / "DEBIAN/control").write_text(
        "Package: other\nVersion: 1\nArchitecture: all\n"
        "Maintainer: x <x@example.org>\nDescription: x\n"
    )
    (source / "DEBIAN/postinst").write_text("#!/bin/false\n")
    (source / "DEBIAN/postinst").chmod(0o755)
    subprocess.run(["dpkg-deb", "-b", source, root / "other.deb"], check=True, capture_output=True)
    subprocess.run([bin_path, "-i", root / "other.deb"], capture_output=True)


def test_a_broken_package_of_somebody_else_is_noted_and_ours_are_installed(debian, tmp_path):
    root = tmp_path / "debian"
    break_other(root, f"{root}/bin/dpkg")
    assert states(tmp_path) == {"other": "install ok half-configured"}
    done = install_needed(debian, root)
    assert done.returncode == 0, done
    assert {states(tmp_path)[name] for name in NEEDS} == {"install ok installed"}
    assert done.stdout.decode().splitlines()[-1] == (
        "dpkg cannot configure other, which JupyterLab does not need: on the server, sudo dpkg "
        "--configure -a"
    )
    assert done.stderr.decode().count("Setting up other") <= 1


def test_a_package_of_ours_that_cannot_be_configured_is_no_note(debian, tmp_path):
    root = tmp_path / "debian"
    break_other(root, f"{root}/bin/dpkg")
    done = dash(f'{debian}echo "dpkg returned an error" >"$run/own/apt.err"; despite_others other')
    assert done.returncode == 1


CDROM = "deb cdrom:[Debian GNU/Linux 12.5.0 _Bookworm_ - Official NETINST]/ bookworm main\n"
GONE = "# Types: deb\nTypes: deb\nURIs: file:/nowhere/repo/\nSuites: stable\nComponents: main\n"


def test_the_sources_that_work_suffice(debian, tmp_path):
    root = tmp_path / "debian"
    works = (root / "etc/apt/sources.list").read_text()
    gone = ("sources.list.d/gone.sources", GONE)
    done = install_needed(debian, root, ("sources.list", CDROM + works), gone)
    assert done.returncode == 0, done
    notes = [x for x in done.stdout.decode().splitlines() if x.startswith("apt cannot use")]
    assert sorted(note.partition(": The")[0] for note in notes) == [
        f"apt cannot use cdrom: in {root}/etc/apt/sources.list",
        f"apt cannot use file:/nowhere/repo in {root}/etc/apt/sources.list.d/gone.sources",
    ]


def test_a_source_that_is_needed_and_cannot_be_used_is_named_with_its_file(debian, tmp_path):
    root = tmp_path / "debian"
    done = install_needed(debian, root, ("sources.list", "deb file:/nowhere/repo ./\n"))
    assert done.returncode == 1
    words = done.stdout.decode().splitlines()
    assert explain("install ddd", words, "d@lab").startswith(
        "d@lab: could not install ddd: Unable to locate package ddd; apt cannot use "
        f"file:/nowhere/repo in {root}/etc/apt/sources.list: The repository"
    )


@pytest.mark.parametrize(
    "words, told",
    [
        ("E: Malformed entry 1 in list file /etc/apt/sources.list (Component)",
         "Malformed entry 1 in list file /etc/apt/sources.list (Component): correct that file"),
        ("Unable to locate package x; apt cannot use http://x in /etc/apt/sources.list: Failed to "
         "fetch http://x/InRelease  Could not resolve 'x'", "does not reach its package index"),
        ("Unable to locate package x", "correct lab.system_packages"),
    ],
)  # fmt: skip
def test_what_apt_says_of_its_sources_has_a_remedy(words, told):
    assert told in explain("install x", [words], "d@lab")
