"""A check that fails is told with its hop, the likely cause and the command that mends it."""

import re
import socket
import subprocess
import time

import pytest
from answers import answering, endless
from fabric import Connection

from fabfile import verify, web
from fabfile.doctor import proof
from fabfile.render import program
from fabfile.settings import Settings
from fabfile.settings.credentials import Secret

HERE = "the site lab.example.org leads to the login page"
SITE = "/lab leads to the login page"


@pytest.mark.parametrize(
    "hop, check, detail, cause, task",
    [
        ("jupyter", "answers on its socket", "curl: (7) Failed", "is not running", "start"),
        ("jupyter", "answers on its socket", "curl: (28) Operation", "does not start", "full"),
        ("jupyter", "answers on its socket", "403 0.1", "not as configured", "full"),
        ("jupyter", "curl", "curl is not installed", "packages are missing", "deps"),
        ("nginx", SITE, "curl: (7) Failed to connect", "Nginx is not running", "nginx"),
        ("nginx", SITE, "curl: (60) SSL", "another certificate", "tls"),
        ("nginx", SITE, "curl: (60) certificate has expired", "has expired", "tls"),
        ("nginx", SITE, "curl: (77) error", "no certificate yet", "tls"),
        ("nginx", SITE, "502  0.1", "no permission to open JupyterLab's socket", "restart"),
        ("nginx", SITE, "200  0.1", "another site", "nginx"),
        ("nginx", "a wrong password is refused", "302", "another configuration", "full"),
        ("nginx", "the password is accepted", "401", "is not the password that is set", "password"),
        ("nginx", "the token is accepted", "401", "another token", "systemd"),
        ("nginx", "a kernel starts", "500", "the venv is damaged", "jupyter --anew"),
        ("nginx", "a websocket upgrade answers 101", "none 0", "no kernel", "jupyter --anew"),
        ("nginx", "a websocket upgrade answers 101", "400", "Upgrade headers", "nginx"),
        ("nginx", "a websocket upgrade answers 101", "403", "without the port", "nginx"),
        ("nginx", "6*7 over the websocket is 42", "", "kernel does not answer", "jupyter --anew"),
        ("nginx", "/lab opens", "500", "not as it was set up", "full"),
        ("here", HERE, "timed out", "points to another machine", "hosts"),
        ("here", HERE, "[Errno 111] refused", "points to another machine", "hosts"),
        ("here", HERE, "404 ", "points to another machine", "hosts"),
    ],
)  # fmt: skip
def test_a_failure_names_its_cause_and_its_remedy(hop, check, detail, cause, task):
    c = Connection("david@1.1.1.1:2222")
    told = verify.explain(c, Settings(), hop, check, detail)
    assert told.startswith(f"{verify.HOPS[hop]}: {check}: failed ({detail.strip() or 'no answer'})")
    assert "; likely " in told and cause in told
    assert f"fab -H david@1.1.1.1:2222 {task}" in told


def test_an_answer_that_did_not_come_has_no_numbers():
    detail = "000  0.000069curl: (7) Failed to connect"
    told = verify.explain(
        Connection("david@1.1.1.1"), Settings(), "jupyter", "answers on its socket", detail
    )
    assert "failed (curl: (7) Failed to connect); likely JupyterLab is not running" in told


def test_where_several_causes_could_be_doctor_tells_them_apart():
    c = Connection("david@1.1.1.1")
    several = verify.explain(c, Settings(), "jupyter", "answers on its socket", "curl: (7)")
    assert several.endswith("start; to be sure: fab -H david@1.1.1.1 doctor")
    one = verify.explain(c, Settings(), "nginx", "the token is accepted", "401")
    assert one.endswith("another token: fab -H david@1.1.1.1 systemd")


@pytest.mark.parametrize(
    "chosen",
    [
        Settings(),
        Settings(domain="lab.example.org", http_port=8080, port=8888, password=Secret("it's $x")),
        Settings(site="include", base_path="/jupyter", tls="theirs"),
    ],
)
def test_the_script_is_good_shell_and_holds_no_password(chosen):
    script = str(proof.script(chosen))
    done = subprocess.run(["sh", "-n"], input=script.encode(), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "it's $x" not in script


def test_the_script_knows_the_settings():
    chosen = Settings(domain="lab.example.org", http_port=8080, port=8888)
    values = str(proof.script(chosen)).partition(program("run_in_kernel")[:20])[0] + "'"
    show = 'printf \'%s\\n\' "$endpoint" "$domain" "$http_port" "$what"\n'
    done = subprocess.run(["sh"], input=values + "\n" + show, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["8888", "lab.example.org", "8080", "the token"]


# --- from here ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer, result, detail",
    [
        (b"HTTP/1.1 302 Found\r\nLocation: /login?next=%2Flab\r\n\r\n", "ok", "302 /login"),
        (b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n", "FAIL", "302 /elsewhere"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "FAIL", "302"),
        (b"HTTP/1.1 200 OK\r\nLocation: /login\r\n\r\n", "FAIL", "200"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "FAIL", "502"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "FAIL", ""),
        (b"", "FAIL", ""),
    ],
    ids=["login", "elsewhere", "nowhere", "200", "502", "no HTTP", "silence"],
)
def test_the_answer_to_this_machine_is_judged(answer, result, detail):
    with answering(answer) as (port, _):
        chosen = Settings(domain="127.0.0.1", http_port=port)
        check, found, _, told = proof.from_here(chosen, "")
    assert (check, found) == (f"the site {chosen.domain} leads to the login page", result)
    assert detail in told


def test_an_address_is_asked_by_the_name():
    with answering(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n") as (port, heard):
        chosen = Settings(domain="no-such-host.invalid", http_port=port)
        assert proof.from_here(chosen, "127.0.0.1")[1] == "ok"
    assert f"Host: no-such-host.invalid:{chosen.http_port}\r\n".encode() in heard[0]


@pytest.mark.parametrize("again", [b"HTTP/1.1 100 Continue\r\n\r\n", b"x"])
def test_an_answer_without_an_end_is_a_failure(monkeypatch, again):
    monkeypatch.setattr(web, "PATIENCE", 1)
    began = time.monotonic()
    with endless(again) as port:
        asked = Settings(domain="no-such-host.invalid", http_port=port), "127.0.0.1"
        assert proof.from_here(*asked)[1] == "FAIL"
    assert time.monotonic() - began < 5


def test_a_closed_port_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    _, found, _, told = proof.from_here(Settings(domain="127.0.0.1", http_port=port), "")
    assert (found, bool(re.search("refused", told))) == ("FAIL", True)


def test_a_name_that_nobody_knows_here_is_left_out():
    _, found, _, told = proof.from_here(Settings(domain="no-such-host.invalid"), "")
    assert (found, told) == ("skip", "unknown name no-such-host.invalid: add it with `fab hosts`")
