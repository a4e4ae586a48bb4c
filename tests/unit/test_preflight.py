"""Whether a name leads here is seen before an ACME server is asked."""

import socket
import ssl
import threading

import pytest
from answers import answering

from fabfile import web
from fabfile.certs import acme_preflight, private_ca


def in_place_of_80(monkeypatch, port: int) -> None:
    """Have what is asked at port 80 asked at this one."""
    real = web.http.client.HTTPConnection
    monkeypatch.setattr(
        web.http.client, "HTTPConnection", lambda host, _, **how: real(host, port, **how)
    )


@pytest.mark.parametrize(
    "answer, told",
    [
        (b"HTTP/1.0 200 OK\r\n\r\nabc", "abc"),
        (b"HTTP/1.0 404 Not Found\r\n\r\nabc", "it answered 404"),
        (b"", "Remote end closed connection without response"),
        (b"nonsense\r\n", "nonsense\r\n"),
    ],
)
def test_what_stands_at_the_place_is_told(monkeypatch, answer, told):
    with answering(answer) as (port, _):
        in_place_of_80(monkeypatch, port)
        assert acme_preflight.fetched("127.0.0.1", "lab.example.org") == told


def test_a_closed_port_is_shut():
    with socket.create_server(("127.0.0.1", 0)) as wire:
        port = wire.getsockname()[1]
    assert "refused" in acme_preflight.shut("127.0.0.1", "lab.example.org", port)


@pytest.mark.parametrize("rejects", [True, False])
def test_a_port_that_speaks_tls_is_open_even_when_it_declines(tmp_path, rejects):
    chain, key = private_ca.make(tmp_path).issue("lab.example.org")
    (tmp_path / "both").write_text(chain + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both")
    if rejects:
        context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    def serve(wire):
        connection, _ = wire.accept()
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as wire:
        threading.Thread(target=serve, args=[wire], daemon=True).start()
        assert acme_preflight.shut("127.0.0.1", "lab.example.org", wire.getsockname()[1]) == ""


def test_a_name_that_nobody_knows_has_no_address():
    assert acme_preflight.addresses("no-such-host.invalid") == []
    assert acme_preflight.addresses("localhost")
