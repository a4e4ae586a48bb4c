"""Several people on one server: their names, whose is what, and what groups say of them."""

import re
from dataclasses import replace

import pytest
from fabric import Connection
from invoke import Exit
from test_settings import bare_environment, configured  # noqa: F401

from fabfile import settings
from fabfile.engine.host import Host
from fabfile.engine.other_instances import Neighbour, neighbours, nickname, refuse_taken
from fabfile.fleet import targets
from fabfile.settings import Settings, groups
from fabfile.settings.names import NICKNAME, Instance

DAVIDS = Neighbour("jupyterlab", "david", "lab.example.org")
EVES = Neighbour("jupyterlab-eve", "eve", "lab.example.org", "/eve", shared=True)


@pytest.mark.parametrize(
    "name, called",
    [
        ("jupyterlab", "jupyterlab"),
        ("anna", "jupyterlab-anna"),
        ("jupyterlab-anna", "jupyterlab-anna"),
        ("a-2", "jupyterlab-a-2"),
        ("backups", "jupyterlab-backups"),
    ],
)
def test_a_name_is_part_of_what_it_is_called(name, called):
    assert re.fullmatch(NICKNAME, name) and Instance(name).called == called


@pytest.mark.parametrize(
    "name",
    ["", "Anna", "9a", "a_b", "a-", "a.b", "a/b", "a" * 25, "backup", "jupyterlab-backup", "fab-2",
     "anna-worker", "worker", "jupyterlab-"],
)  # fmt: skip
def test_a_name_that_is_none_is_refused(name):
    assert not re.fullmatch(NICKNAME, name)


def test_no_two_things_of_two_names_are_the_same():
    def things(name):
        values = (getattr(Instance(name), n) for n in dir(Instance) if not n.startswith("_"))
        return {str(value) for value in values}

    assert len(things("jupyterlab")) > 20
    assert not things("jupyterlab") & things("anna") and not things("a") & things("a-b")


def test_what_each_has_written_down_is_read():
    found = neighbours([
        "/etc/systemd/system/jupyterlab.service:User=david",
        "/etc/systemd/system/jupyterlab-backup.service:User=root",
        "/etc/systemd/system/jupyterlab-eve.service:User=e%%ve",
        "/etc/systemd/system/jupyterlab-new.service:User=carl",
        "/etc/nginx/sites-available/jupyterlab:# JupyterLab of david at Lab.example.org",
        "/etc/nginx/sites-available/jupyterlab:    ssl_certificate     /etc/nginx/x.pem;",
        "/etc/nginx/conf.d/00-jupyterlab-eve.conf:# JupyterLab of eve at lab.example.org/eve"
        ", in a site that is there",
    ])  # fmt: skip
    assert found == (replace(DAVIDS, secure=True), EVES, Neighbour("jupyterlab-new", "carl"))


@pytest.mark.parametrize(
    "user, chosen, why",
    [
        ("anna", {}, "jupyterlab is david's on this server: .* such as lab.name: anna"),
        ("david", {"name": "two"}, "david has jupyterlab on this server, and each user only one"),
        ("anna", {"name": "anna"}, "lab.example.org is david's jupyterlab on this server"),
        ("anna", {"name": "anna", "domain": "LAB.example.org"}, "is david's jupyterlab"),
        ("anna", {"name": "anna", "base_path": "/anna"}, "lab.site: include for lab.example.org/a"),
        ("anna", {"name": "anna", "base_path": "/eve", "site": "include"}, "/eve is eve's"),
    ],
)
def test_what_is_somebodys_is_refused(user, chosen, why):
    chosen = Settings(**{"domain": "lab.example.org", **chosen})
    with pytest.raises(Exit, match=why):
        refuse_taken(Host(user=user, neighbours=(DAVIDS, EVES)), chosen)


@pytest.mark.parametrize(
    "user, chosen",
    [
        ("david", {}),
        ("anna", {"name": "anna", "domain": "anna.example.org"}),
        ("anna", {"name": "anna", "base_path": "/anna", "site": "include"}),
        ("eve", {"name": "eve", "base_path": "/elsewhere", "site": "include"}),
    ],
)
def test_what_is_nobody_elses_is_taken(user, chosen):
    chosen = Settings(**{"domain": "lab.example.org", **chosen})
    refuse_taken(Host(user=user, neighbours=(DAVIDS, EVES)), chosen)


@pytest.mark.parametrize("user", ["anna", "Anna.Berg", "2pac", "_x_", "backup", "a" * 40, "--"])
def test_a_name_that_is_proposed_is_accepted(user):
    assert re.fullmatch(NICKNAME, nickname(user))


# --- groups ------------------------------------------------------------------------------------

CLASS = {"hosts": ["root@lab1", "lab2"], "users": ["ben", "carl"],
         "lab": {"name": "{user}", "domain": "{user}.{host}.example.org", "port": 8890},
         }  # fmt: skip


def config(**given):
    return configured({"groups": given})


def test_a_group_with_users_is_each_of_them_on_each_host():
    chosen = targets.choose(config(c=CLASS, plain=["x"]), "c,plain", "", False)
    assert chosen == ["ben/root@lab1", "carl/root@lab1", "ben/lab2", "carl/lab2", "x"]


@pytest.mark.parametrize(
    "limit, left",
    [("ben", ["ben/root@lab1", "ben/lab2"]), ("lab2", ["ben/lab2", "carl/lab2"]),
     ("carl/*", ["carl/root@lab1", "carl/lab2"])],
)  # fmt: skip
def test_limits_are_of_users_too(limit, left):
    assert targets.choose(config(c=CLASS), "c", limit, False) == left


def personal(target: str, user: str = "", **given) -> Settings:
    return settings.load(groups.personal(Connection(target, config=config(**given)), user).config)


@pytest.mark.parametrize("target", ["root@lab1", "root@lab2", "someone@lab2"])
def test_a_user_of_a_group_has_its_settings(target):
    found = personal(target, "ben", c=CLASS)
    host = target.partition("@")[2]
    told = found.name, found.user, found.domain, found.port
    assert told == ("ben", "ben", f"ben.{host}.example.org", 8890)


@pytest.mark.parametrize(
    "target, user", [("root@lab3", "ben"), ("david@lab1", "ben"), ("root@lab1", "eve"),
                     ("root@lab1:2222", "ben"), ("root@lab1", "")],
)  # fmt: skip
def test_others_have_not(target, user):
    assert personal(target, user, c=CLASS) == Settings(user=user)


def test_who_logs_in_is_meant_where_a_group_names_no_users():
    group = {"hosts": ["anna@lab1"], "lab": {"name": "{user}"}}
    assert personal("anna@lab1", g=group).name == "anna"


def test_the_environment_counts_more_than_a_group(monkeypatch):
    monkeypatch.setenv("FABRIC_LAB_PORT", "9999")
    assert personal("root@lab1", "ben", c=CLASS).port == 9999


def test_a_file_named_by_hand_counts_more_than_a_group(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("lab: {port: 9999}")
    given = config(c=CLASS)
    given.set_runtime_path(str(path))
    given.load_runtime()
    there = groups.personal(Connection("root@lab1", config=given), "ben")
    assert settings.load(there.config).port == 9999


@pytest.mark.parametrize(
    "group, why",
    [({"host": ["a"]}, "groups.g.host: no such setting; did you mean hosts"),
     ({"lab": {"prot": 1}}, "groups.g.lab.prot: no such setting; did you mean port"),
     ({"lab": 3}, "groups.g.lab: 3 is not a group of settings"),
     ([5], r"groups.g: 5 is not a host; write a list such as \[david@1.1.1.1\]"),
     ({"hosts": 5}, "groups.g.hosts: 5 is not a host"),
     ({"hosts": "a", "users": [5]}, r"groups.g.users: 5 is not a user; write .* \[anna, ben\]")],
)  # fmt: skip
def test_a_bad_group_is_refused(group, why):
    with pytest.raises(Exit, match=why):
        groups.members(config(g=group), "g")


@pytest.mark.parametrize("given", ["a,b", " a , b,", ["a", "b "], ["a", "", "b"]])
def test_hosts_are_a_list_or_words_with_commas(given):
    assert groups.listed(given) == ["a", "b"]
    assert targets.choose(configured({"hosts": given}), "", "", False) == ["a", "b"]
    assert targets.choose(configured({"hosts": ["a", "b", "c"]}), "", "a, b", False) == ["a", "b"]
