"""Which users of a server may own a JupyterLab: odd names, refused before anything is changed."""

import pytest
from fabric import Config
from invoke import Exit

from fabfile import ns, settings
from fabfile.engine.host import Host


@pytest.mark.parametrize("user, group", [("2043117", "users"), ("ann", "1001")])
def test_a_name_of_digits_is_refused(user, group):
    with pytest.raises(Exit, match=r"systemd takes for an ID: .*mod --\S+ NAME \d+$"):
        Host(user=user, group=group).refuse_unfit()


@pytest.mark.parametrize("user", ["Ann.B", "machine$", "1ann", "0x12", "a" * 32, "ünal", "-1"])
def test_other_odd_names_are_not(user):
    Host(user=user, group=user).refuse_unfit()


@pytest.mark.parametrize("user", ["ann", "Ann.B", "machine$", "_apt"])
def test_root_may_name_such_a_user(user):
    config = Config(lazy=True)
    config.load_collection(ns.configuration())
    config.load_overrides({"lab": {"user": user}})
    assert settings.load(config).user == user
