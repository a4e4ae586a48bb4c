"""What goes and what stays, from what a server says: tables."""

import pytest
from invoke import Exit

from fabfile.engine.host import Host
from fabfile.settings import Settings
from fabfile.uninstall.ledger import Inventory, Package, Seen, groups, needed
from fabfile.uninstall.selection import plan
from fabfile.uninstall.uninstall import changes

HOST = Host(user="david", group="david", home="/home/david")
PROJECT = "/home/david/project"
parse = Seen(project=PROJECT).parse


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        (", ", ()),
        ("libc6 (>= 2.36), python3:any", (("libc6",), ("python3",))),
        ("awk | mawk (<< 2) | gawk", (("awk", "mawk", "gawk"),)),
        ("a (= 1) [amd64] <!nocheck>", (("a",),)),
    ],
)
def test_a_field_of_dpkg_is_read(text, names):
    assert groups(text) == names


def test_the_lines_of_the_inventory_are_sorted():
    found = parse(
        [
            "ledger",
            "made path /etc/x y",
            "there /etc/x y",
            "present sudo",
            "uses nginx /etc/nginx/sites-enabled/shop",
            "work 3",
            "package nodejs\tinstalled\tlibc6, a | b\t\tnode, js (= 1)",
        ]
    )
    assert found.ledger and not parse(["made path /x"]).ledger
    assert found.made == [("path", "/etc/x y")]
    assert (found.there, found.present, found.work) == ({"/etc/x y"}, {"sudo"}, 3)
    assert found.uses["nginx"] == ["/etc/nginx/sites-enabled/shop"]
    assert found.packages["nodejs"] == Package(
        "installed", (("libc6",), ("a", "b")), (), ("node", "js")
    )


@pytest.mark.parametrize(
    "line",
    [
        "path relative",
        "tree /etc/../etc/cron.d",
        "tree /etc//cron.d",
        "replaced /a/./b",
        "path /a\u2028b",
        "path /a\x1b[2Jb",
        "tree /",
        "rights a|755|root:root",
    ],
)
def test_an_entry_that_no_run_of_ours_wrote_is_refused(line):
    with pytest.raises(Exit, match="the ledger on the server"):
        parse([f"made {line}"])


def test_a_path_may_hold_what_parts_the_values_of_an_entry():
    out = plan(inventory("rights /srv/a|b|755|root:root"), Settings(), HOST, False)
    assert out.rights == [["/srv/a|b", "755", "root:root"]]


def test_lines_that_are_none_of_ours_count_nothing():
    found = parse(["work x", "work 99999999999999999999", "package a\tb", "package", "what"])
    assert (found.work, found.packages) == (999999999, {})


# --- packages: name -> what it depends on, what it recommends ------------------------------------

DEPENDS = {
    "nodejs": ("libuv1", ""),
    "libuv1": ("", ""),
    "curl": ("", ""),
    "nginx": ("nginx-common", ""),
    "nginx-common": ("", ""),
}
OURS = list(DEPENDS)


@pytest.mark.parametrize(
    ("others", "present", "uses", "stay"),
    [
        pytest.param({}, "", {}, set(), id="nobody"),
        pytest.param({"tool": ("nodejs", "")}, "", {}, {"nodejs", "libuv1"}, id="and its own"),
        pytest.param({"libc": ("", "curl")}, "libc", {}, set(), id="liked by what was there"),
        pytest.param({"late": ("", "curl")}, "", {}, {"curl"}, id="liked by what came later"),
        pytest.param({"t": ("wget | curl", "")}, "", {}, {"curl"}, id="the one alternative"),
        pytest.param(
            {"t": ("wget | curl", ""), "wget": ("", "")}, "", {}, set(), id="another alternative"
        ),
        pytest.param({}, "", {"nginx": ["/s"]}, {"nginx", "nginx-common"}, id="another site"),
        pytest.param({}, "", {"certbot": ["/c"]}, set(), id="what is not ours stays anyway"),
    ],
)
def test_packages_that_others_need_stay(others, present, uses, stay):
    found = Inventory(present=set(present.split()))
    found.uses |= uses
    for name, (depends, recommends) in (DEPENDS | others).items():
        found.packages[name] = Package("installed", groups(depends), groups(recommends))
    assert set(needed(found, OURS)) == stay


def test_a_package_that_only_left_its_configuration_needs_nothing():
    found = Inventory()
    found.packages = {"gone": Package("config-files", (("curl",),)), "curl": Package("installed")}
    assert needed(found, ["curl"]) == {}


# --- paths ---------------------------------------------------------------------------------------


def inventory(*made: str, **values) -> Inventory:
    """A server with such lines in its ledger, where all paths exist."""
    found = parse([f"made {line}" for line in made])
    found.ledger = True
    found.there = {line.split(" ", 1)[1] for line in made}
    found.__dict__.update(values)
    return found


LEDGER = (
    f"path {PROJECT}",
    f"tree {PROJECT}/venv",
    "path /home/david/.jupyter",
    "path /home/david/.jupyter/jupyter_lab_config.py",
    "path /etc/systemd/system/jupyterlab.service",
    "path /etc/systemd/system/jupyterlab-wake.socket",
    "path /run/jupyterlab",
    "path /var/backups/jupyterlab/archives",
    "tree /etc/nginx/jupyterlab",
)


def test_what_is_in_a_folder_goes_before_the_folder():
    goes = [path for _, path in plan(inventory(*LEDGER), Settings(), HOST, False).goes]
    for inner in goes:
        for outer in goes:
            assert not inner.startswith(f"{outer}/") or goes.index(inner) < goes.index(outer)


@pytest.mark.parametrize(("purge", "kind"), [(False, "path"), (True, "tree")])
def test_notebooks_and_settings_go_with_purge_alone(purge, kind):
    goes = plan(inventory(*LEDGER), Settings(), HOST, purge).goes
    assert (kind, PROJECT) in goes and (kind, "/home/david/.jupyter") in goes


def test_a_folder_that_was_there_before_stays_even_with_purge():
    ours = (f"tree {PROJECT}/venv", f"path {PROJECT}/.venvs")  # .kernels, if any, is the user's own
    out = plan(inventory(*ours, work=2), Settings(), HOST, True)
    beside = {f"{PROJECT}/{name}" for name in ("venv", ".venvs")}
    assert {path for _, path in out.goes} == beside
    assert ("tree", PROJECT) not in out.goes and ("path", PROJECT) not in out.goes
    assert out.stays == {PROJECT: "it has 2 files from you; the folder was there before"}


def test_backups_are_not_among_the_paths_and_run_is_nobodys_work():
    goes = plan(inventory(*LEDGER), Settings(), HOST, True).goes
    assert not any(path.startswith("/var/backups") for _, path in goes)
    assert ("tree", "/run/jupyterlab") in goes


def test_units_that_we_made_are_stopped():
    out = plan(inventory(*LEDGER), Settings(), HOST, False)
    assert out.units == ["jupyterlab.service", "jupyterlab-wake.socket"]


@pytest.mark.parametrize(
    ("made", "uses", "states"),
    [
        ("unit nginx.service|enabled|active", {}, []),
        ("unit nginx.service|disabled|inactive", {}, [["nginx.service", "disabled", "inactive"]]),
        ("unit nginx.service|disabled|inactive", {"nginx": ["/s"]}, []),
        ("unit jupyterlab.service|disabled|inactive", {}, []),
    ],
)
def test_a_unit_that_was_there_is_what_it_was(made, uses, states):
    assert plan(inventory(*LEDGER, made, uses=uses), Settings(), HOST, False).states == states


@pytest.mark.parametrize(("more", "back"), [((), 1), (("package nginx-common",), 0)])
def test_the_welcome_page_comes_back_where_nginx_was_there(more, back):
    found = inventory("replaced /etc/nginx/sites-enabled/default", *more)
    assert len(plan(found, Settings(), HOST, False).back) == back


def test_what_others_need_as_well_is_handed_on():
    shared = ["package nginx", "replaced /etc/nginx/sites-enabled/default", "index /var/lib/apt",
              "path /var/www/html", "unit nginx.service|disabled|inactive",
              "path /etc/fail2ban/jail.d/sshd-journal.conf"]  # fmt: skip
    ours = ["unit jupyterlab.service|disabled|inactive",
            "path /etc/nginx/sites-enabled/zz-jupyterlab",
            "path /var/lib/systemd/timers/stamp-jupyterlab-backup.timer"]  # fmt: skip
    found = inventory(*LEDGER, *ours, *shared, others=["jupyterlab-anna"])
    out = plan(found, Settings(), HOST, False)
    assert (out.heir, out.handed) == ("jupyterlab-anna", shared)
    assert not (out.remove or out.back or out.states or out.index or out.downloads)
    assert {path for _, path in out.goes} >= {line.split(" ")[1] for line in ours[1:]}
    assert out.stays["1 package"] == "jupyterlab-anna takes them over"
    assert "jupyterlab-anna" in changes(found, out, Settings(), HOST, False)[1].shell


def test_the_ledger_is_closed_last():
    found = inventory(*LEDGER)
    out = plan(found, Settings(), HOST, False)
    steps = changes(found, out, Settings(), HOST, False)
    assert steps[-1].shell == "close_ledger"
    assert steps[0].shell == "stop_units jupyterlab.service jupyterlab-wake.socket"
