"""Every setting is read once and checked; a bad one is told with its path and what is accepted."""

import os

import pytest
from fabric import Config
from invoke import Exit

from fabfile import ns, settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in os.environ:
        if name.startswith(("FABRIC_", "INVOKE_", "LAB_")):
            monkeypatch.delenv(name)


def configured(overrides: dict | None = None) -> Config:
    """A config as Fabric hands it to a task: the collection's, then the environment, then more."""
    config = Config(lazy=True)
    config.load_collection(ns.configuration())
    config.load_shell_env()
    config.load_overrides(overrides or {})
    return config


def load(**lab) -> settings.Settings:
    return settings.load(configured({"lab": lab}))


def refusal(read, *arguments, **options) -> str:
    with pytest.raises(Exit) as caught:
        read(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_word_from_anyone_the_defaults_hold():
    assert settings.load(configured()) == settings.Settings()
    assert settings.Settings().domain == "jupyterlab.vmdomain.io"
    assert settings.Settings().packages == ("jupyter",)
    assert settings.Settings().venv == "~/project/venv"


@pytest.mark.parametrize(
    "name, value, taken",
    [
        ("domain", "lab.example.org", "lab.example.org"),
        ("domain", "lab", "lab"),
        ("domain", "10.0.0.1", "10.0.0.1"),
        ("domain", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("domain", "a" * 63 + ".example", "a" * 63 + ".example"),
        ("project", "~/notes/of-2026", "~/notes/of-2026"),
        ("project", "/srv/lab", "/srv/lab"),
        ("packages", ["lab~=4.6", "pandas[excel]>=2"], ("lab~=4.6", "pandas[excel]>=2")),
        ("packages", "jupyter numpy", ("jupyter", "numpy")),
        ("system_packages", ["git", "g++"], ("git", "g++")),
        ("recommends", True, True),
        ("port", None, None),
        ("port", 8888, 8888),
        ("port", "8888", 8888),
        ("installer", "pip", "pip"),
        ("upload_limit", "2g", "2g"),
        ("address", "2001:db8::7", "2001:db8::7"),
        ("sandbox", "strict", "strict"),
        ("memory_limit", "100%", "100%"),
        ("memory_limit", "256M", "256M"),
        ("memory_limit", "4G", "4G"),
        ("memory_limit", "infinity", "infinity"),
        ("cpu_limit", None, None),
        ("cpu_limit", "50%", "50%"),
        ("cpu_limit", "6400%", "6400%"),
        ("tasks_limit", 256, 256),
        ("cull_after", None, None),
        ("cull_after", 60, 60),
        ("sleep_after", None, None),
        ("sleep_after", "3600", 3600),
        ("base_path", "", ""),
        ("base_path", "/jupyter", "/jupyter"),
        ("base_path", "/a-b/c_d.e~", "/a-b/c_d.e~"),
        ("tls", False, "off"),  # as YAML reads `off`
        ("tls", "off", "off"),
        ("tls", "self-signed", "self-signed"),
        ("tls_email", "", ""),
        ("acme_server", "https://10.0.0.2:14000/dir", "https://10.0.0.2:14000/dir"),
        ("content_from", ["https://*.example.org:8443"], ("https://*.example.org:8443",)),
    ],
)
def test_a_good_value_is_taken(name, value, taken):
    assert getattr(load(**{name: value}), name) == taken


NAME_MEANS = "such as lab.example.org"
PLACE_MEANS = "~/NAME or an absolute path"


@pytest.mark.parametrize(
    "name, value, accepted",
    [
        pytest.param("domain", "", NAME_MEANS, id="empty"),
        pytest.param("domain", "a" * 64 + ".org", NAME_MEANS, id="label of 64"),
        pytest.param("domain", ".".join(["a" * 60] * 5), NAME_MEANS, id="name of 304"),
        pytest.param("domain", "-lab.org", NAME_MEANS, id="leading dash"),
        pytest.param("domain", "lab-.org", NAME_MEANS, id="trailing dash"),
        pytest.param("domain", "lab.org.", NAME_MEANS, id="trailing dot"),
        pytest.param("domain", "lab..org", NAME_MEANS, id="two dots"),
        pytest.param("domain", "my lab.org", NAME_MEANS, id="space"),
        pytest.param("domain", "lab.org\n", NAME_MEANS, id="newline at the end"),
        pytest.param("domain", "lab.org;", NAME_MEANS, id="semicolon"),
        pytest.param("domain", "bücher.de", NAME_MEANS, id="umlaut"),
        pytest.param("domain", 5, NAME_MEANS, id="number as domain"),
        *(
            pytest.param("base_path", path, "such as /jupyter", id=f"base_path {path}")
            for path in ("/", "jupyter", "/jupyter/", "//a", "/a/../b", "/.a", "/a b", "/a;", "/ü")
        ),
        pytest.param("project", "project", PLACE_MEANS, id="relative"),
        pytest.param("project", "/", PLACE_MEANS, id="root"),
        pytest.param("project", "~", PLACE_MEANS, id="the home itself"),
        pytest.param("project", "~/..", PLACE_MEANS, id="the folder of all homes"),
        pytest.param("project", "~david/x", PLACE_MEANS, id="another home"),
        pytest.param("project", "~/a b", PLACE_MEANS, id="space in a path"),
        pytest.param("project", "~/a\n", PLACE_MEANS, id="newline in a path"),
        pytest.param("project", "~/a/", PLACE_MEANS, id="trailing slash"),
        pytest.param("packages", [], "at least one", id="no packages"),
        pytest.param("packages", 7, "a list of pip requirements", id="number as packages"),
        pytest.param("packages", [7], "a list of pip requirements", id="number in packages"),
        pytest.param("packages", ["-r x"], "a list of pip requirements", id="option"),
        pytest.param("packages", ["a\nb"], "a list of pip requirements", id="newline"),
        pytest.param("packages", ["#a"], "a list of pip requirements", id="comment"),
        pytest.param("system_packages", ["Git"], "Debian packages", id="upper case"),
        pytest.param("system_packages", ["--x"], "Debian packages", id="option of apt"),
        pytest.param("recommends", "perhaps", "true or false", id="perhaps"),
        pytest.param("recommends", 1, "true or false", id="one as a bool"),
        pytest.param("port", 1023, "1024 to 65535", id="port too low"),
        pytest.param("port", 65536, "1024 to 65535", id="port too high"),
        pytest.param("port", "http", "1024 to 65535", id="port by name"),
        pytest.param("port", True, "1024 to 65535", id="bool as port"),
        pytest.param("http_port", 0, "1 to 65535", id="port zero"),
        pytest.param("http_port", 80.5, "1 to 65535", id="half a port"),
        pytest.param("upload_limit", "64 MB", "such as 64m", id="unit"),
        pytest.param("upload_limit", "0m", "such as 64m", id="nothing"),
        pytest.param("read_timeout", 59, "60 to 604800", id="short timeout"),
        pytest.param("start_timeout", 601, "5 to 600", id="long timeout"),
        pytest.param("connect_timeout", 0, "1 to 600", id="no timeout"),
        pytest.param("installer", "conda", "uv or pip", id="installer"),
        pytest.param("tls", True, "self-signed", id="yes to tls"),
        pytest.param("tls", "on", "self-signed", id="tls on"),
        pytest.param("tls_email", "me", "an e-mail address", id="no e-mail"),
        pytest.param("tls_email", "me@x.org --x", "an e-mail address", id="e-mail and more"),
        pytest.param("acme_server", "http://x", "an https:// URL", id="acme in clear"),
        pytest.param("acme_server", "https://x y", "an https:// URL", id="space in a URL"),
        pytest.param("login_rate", 0, "1 to 6000", id="no logins"),
        pytest.param("content_from", ["x.org"], "https://cdn.example.org", id="no scheme"),
        pytest.param("content_from", ["https://x.org; y"], "https://cdn", id="another directive"),
        pytest.param("content_from", ['https://x.org"'], "https://cdn", id="a quote"),
        pytest.param("content_from", ["https://x.org/path"], "https://cdn", id="a path"),
        pytest.param("host_key", "no", "ask, accept-new, strict, or", id="host_key"),
        pytest.param("address", "localhost", "an IP address", id="name as address"),
        pytest.param("address", "10.0.0", "an IP address", id="half an address"),
        pytest.param("host_key", "SHA256:abc", "fingerprint", id="short fingerprint"),
        pytest.param("address", "10.0.0.1\n", "an IP address", id="newline in address"),
        pytest.param("hosts_file", "a\nb", "a path", id="newline in hosts_file"),
        pytest.param("sandbox", "none", "standard or strict", id="no sandbox"),
        pytest.param("sandbox", True, "standard or strict", id="bool as sandbox"),
        pytest.param("memory_limit", "101%", "10% to 100%", id="more than all"),
        pytest.param("memory_limit", "9%", "10% to 100%", id="hardly any"),
        pytest.param("memory_limit", "255M", "256M or more", id="too small a size"),
        pytest.param("memory_limit", "4g", "256M or more", id="a unit systemd does not know"),
        pytest.param("memory_limit", "4", "256M or more", id="four bytes"),
        pytest.param("memory_limit", 80, "10% to 100%", id="number as memory"),
        pytest.param("memory_limit", "80%\n", "10% to 100%", id="newline in memory"),
        pytest.param("cpu_limit", "2", "200% being two", id="processors"),
        pytest.param("cpu_limit", 200, "200% being two", id="number as processors"),
        pytest.param("cpu_limit", "0%", "200% being two", id="no processor"),
        pytest.param("cpu_limit", "5%", "200% being two", id="a twentieth"),
        pytest.param("cull_after", 59, "60 to 31536000", id="a kernel of less than a minute"),
        pytest.param("cull_after", "1h", "seconds until an idle", id="an hour in words"),
        pytest.param("cull_busy", "perhaps", "true or false", id="perhaps busy"),
        pytest.param("cull_connected", 2, "true or false", id="twice connected"),
        pytest.param("sleep_after", 0, "or null: never", id="no time until sleep"),
        pytest.param("tasks_limit", 255, "256 to 4194304", id="few tasks"),
        pytest.param("tasks_limit", "infinity", "256 to 4194304", id="tasks without end"),
    ],
)
def test_a_bad_value_is_refused(name, value, accepted):
    told = refusal(load, **{name: value})
    assert told.startswith(f"lab.{name}: {value!r} is not accepted; give ")
    assert accepted in told


@pytest.mark.parametrize(
    "name, word, taken",
    [
        ("recommends", "false", False),
        ("recommends", "0", False),
        ("recommends", "true", True),
        ("packages", "jupyterlab pandas", ("jupyterlab", "pandas")),
        ("system_packages", "git", ("git",)),
        ("system_packages", "", ()),
        ("port", "9999", 9999),
        ("port", "null", None),
        ("domain", "lab.example.org", "lab.example.org"),
    ],
)
def test_the_environment_speaks_in_words(monkeypatch, name, word, taken):
    monkeypatch.setenv(f"FABRIC_LAB_{name.upper()}", word)
    assert getattr(load(), name) == taken


@pytest.fixture
def written(tmp_path):
    """Give a function that reads a fabric.yaml, then the environment, then the file after -f."""

    def read(project: str, named: str | None = None) -> settings.Settings:
        (tmp_path / "fabric.yaml").write_text(project)
        config = Config(lazy=True, project_location=tmp_path)
        config.load_collection(ns.configuration())
        config.load_project()
        config.load_shell_env()
        if named:
            (tmp_path / "named.yaml").write_text(named)
            config.set_runtime_path(tmp_path / "named.yaml")
            config.load_runtime()
        return settings.load(config)

    return read


def test_a_file_is_heard(written):
    chosen = written("lab:\n  domain: lab.example.org\n  packages: [jupyterlab, numpy]\n")
    assert (chosen.domain, chosen.packages) == ("lab.example.org", ("jupyterlab", "numpy"))


@pytest.mark.parametrize(
    "named, taken", [(None, False), ("lab: {recommends: true}", True), ("lab: {port: 8888}", False)]
)
def test_the_environment_counts_more_than_fabric_yaml_and_less_than_a_named_file(
    written, monkeypatch, named, taken
):
    monkeypatch.setenv("FABRIC_LAB_RECOMMENDS", "false")  # Invoke alone would cast it to True
    assert written("lab: {recommends: true}", named).recommends is taken


def test_a_bad_word_from_the_environment_is_refused_by_its_setting(monkeypatch):
    monkeypatch.setenv("FABRIC_LAB_PORT", "eighty")
    assert refusal(load).startswith("lab.port: 'eighty' is not accepted")


@pytest.mark.parametrize(
    "given, told",
    [
        ({"lba": {}}, "lba: no such setting; did you mean lab?"),
        ({"lab": {"domian": "x"}}, "lab.domian: no such setting; did you mean domain?"),
        ({"lab": {"package": []}}, "lab.package: no such setting; did you mean packages?"),
        ({"lab": {"zzz": 1}}, "lab.zzz: no such setting; known: acme_server, "),
        ({"lab": {"password": "s3cret"}}, "lab.password: a password does not belong in a file"),
    ],
)
def test_an_unknown_key_is_refused(given, told):
    assert refusal(settings.load, configured(given)).startswith(told)


def test_a_password_among_the_settings_is_refused_with_its_own_variable(monkeypatch):
    monkeypatch.setenv("FABRIC_LAB_PASSWORD", "s3cret")
    told = refusal(settings.load, configured())
    assert "LAB_PASSWORD: rename it" in told and "s3cret" not in told


@pytest.mark.parametrize(
    "chosen, told",
    [
        ({"tls": "files"}, "lab.tls: files needs lab.tls_certificate and lab.tls_key"),
        ({"tls": "letsencrypt", "http_port": 8080}, "lab.http_port: 8080: Let's Encrypt connects"),
        ({"tls": "letsencrypt", "domain": "lab"}, "lab.domain: Let's Encrypt gives no certificate"),
        ({"cull_busy": True}, "lab.cull_busy: no kernel is ended without lab.cull_after"),
        ({"cull_connected": True}, "lab.cull_connected: no kernel is ended without"),
        ({"port": 8888, "sleep_after": 600}, "lab.port: 8888: only a unix socket can wake"),
        ({"site": "include"}, "lab.site: include needs lab.base_path, the path prefix of"),
        (
            {"site": "include", "base_path": "/jupyter", "tls": "letsencrypt"},
            "lab.tls: letsencrypt: with lab.site: include the existing site has the certificate",
        ),
        ({"tls": "self-signed", "base_path": "/ca"}, "lab.base_path: /ca: there the certificate"),
        ({"tls": "theirs"}, "lab.tls: theirs needs lab.site: include"),
        ({"tls": "self-signed", "http_port": 443}, "lab.https_port: 443 is lab.http_port already"),
    ],
)
def test_settings_at_odds_are_refused(chosen, told):
    assert refusal(load, **chosen).startswith(told)


def test_tls_off_from_the_environment(monkeypatch):
    monkeypatch.setenv("FABRIC_LAB_TLS", "off")
    assert settings.load(configured()).tls == "off"


@pytest.mark.parametrize(
    "chosen, url",
    [
        ({}, "http://jupyterlab.vmdomain.io"),
        ({"http_port": 8080}, "http://jupyterlab.vmdomain.io:8080"),
        ({"tls": "self-signed", "http_port": 8080}, "https://jupyterlab.vmdomain.io"),
        ({"base_path": "/a/b"}, "http://jupyterlab.vmdomain.io/a/b"),
        (
            {"base_path": "/jupyter", "site": "include", "tls": "theirs"},
            "https://jupyterlab.vmdomain.io/jupyter",
        ),
        ({"tls": "self-signed", "https_port": 8443}, "https://jupyterlab.vmdomain.io:8443"),
    ],
)
def test_where_people_find_it(chosen, url):
    assert load(**chosen).url == url


def test_an_unknown_variable_is_refused_with_the_nearest(monkeypatch):
    monkeypatch.setenv("FABRIC_LAB_DOMIAN", "x")
    told = refusal(load)
    assert told == "FABRIC_LAB_DOMIAN: no such setting; did you mean FABRIC_LAB_DOMAIN?"


@pytest.mark.parametrize("lab", ["x", 5, ["domain"], True])
def test_lab_must_be_a_group(lab):
    assert refusal(settings.load, Config(overrides={"lab": lab}, lazy=True)).startswith("lab: ")


def test_a_settings_file_that_is_not_there_is_refused(tmp_path):
    config = configured()
    config.set_runtime_path(tmp_path / "none.yaml")
    assert refusal(settings.load, config) == f"-f {tmp_path}/none.yaml: no such file"


@pytest.mark.parametrize(
    "text, word",
    [
        ("", "empty"),
        ("  \t", "empty"),
        ("a\nb", "line break"),
        ("a\n", "line break"),
        ("\x1b", "control"),
        pytest.param("a\udcff", "", id="bytes that are no UTF-8"),
    ],
)
def test_a_password_that_nobody_could_type_is_refused(monkeypatch, text, word):
    monkeypatch.setenv("LAB_PASSWORD", text)
    told = refusal(load)
    assert told.startswith("the password ")
    assert word in told


def test_a_password_is_held_but_never_shown(monkeypatch):
    monkeypatch.setenv("LAB_PASSWORD", " korrekt pferd ")
    chosen = load()
    assert chosen.password.reveal() == "korrekt pferd"  # the login page strips blanks, too
    for text in (repr(chosen), str(chosen), f"{chosen}", repr([chosen]), repr(chosen.password)):
        assert "pferd" not in text
