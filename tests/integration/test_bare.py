"""A bare server becomes JupyterLab behind Nginx, and a second run leaves it alone."""

import httpx
import pytest
from outcomes import nothing_to_change, well
from visitor import Visitor

pytestmark = [pytest.mark.lifecycle, pytest.mark.debian, pytest.mark.core]


@pytest.fixture(scope="module")
def bare(server):
    return server("bare")


def state(bare) -> str:
    """What a second run must not touch: processes, and every file under the paths we own."""
    return bare.host.exec(
        "systemctl show jupyterlab nginx -p MainPID -p ActiveEnterTimestamp\n"
        "find /etc/nginx /etc/systemd/system /etc/tmpfiles.d /home/david/.jupyter "
        "-printf '%p %T@ %C@ %m %u %g\\n' | sort"
    )


@pytest.fixture(scope="module")
def first(bare):
    """What the first run said."""
    return well(bare.fab("full"))


def test_full_on_a_bare_host(first):
    assert "6*7 over the websocket is 42" in first
    assert "/lab?token=" in first


def test_other_names_and_the_bare_address_get_no_answer(bare, first):
    for name in ("other.example.org", bare.host.address):
        with pytest.raises(httpx.RemoteProtocolError):
            Visitor(bare, name).client.get("/lab")


def test_the_service_is_there_for_good(bare, first):
    service = bare.infra.service("jupyterlab")
    assert service.is_running and service.is_enabled


def test_jupyterlab_starts_without_making_a_parser_first(bare, first):
    slow = "import jsonschema, sys; print('rfc3987_syntax' in sys.modules)"
    assert bare.host.exec(f'/home/david/project/venv/bin/python -c "{slow}"') == "False\n"


def test_second_run_changes_nothing(bare, first):
    before = state(bare)
    nothing_to_change(bare.fab("full"))
    assert state(bare) == before


def test_it_comes_back_after_a_reboot(bare, first):
    bare.host.reboot()
    well(bare.fab("verify"))
