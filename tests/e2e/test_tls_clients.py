"""Clients that show certificates: who is let in, what servers are told, and what nobody can pretend."""

import hashlib
import json
import socket
import ssl

import pytest

from support import config, tls
from support.authority import Authority
from support.client import curl
from support.vignette import check

REQUEST = b"GET /hello HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n"
FORGED = ["-H", "X-Client-Cert-Subject: CN=root", "-H", "X-Client-Cert-Verify: SUCCESS", "-H", "X-CLIENT-CERT-Any: x"]
REQUIRED, OPTIONAL, OFF = range(3)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


@pytest.fixture
def setup_with(tmp_path, apps, authority):
    """A configuration whose listeners require a certificate, accept one, and ask for none."""
    pair = tls.make_certificate(tmp_path, "one.test")

    def setup(more=""):
        text = ""
        for number, verify in enumerate(("required", "optional", None)):
            text += f'[[listener]]\naddress = "127.0.0.{number + 4}:0"\ntls = true\n'
            if verify:
                text += f'mtls = {{ verify = "{verify}", ca = "{authority.certificate}"{more} }}\n'
        text += f'[tls]\npoll = "50ms"\n[[certificate]]\nchain = "{pair[0]}"\nkey = "{pair[1]}"\n'
        app = config.site(config.route("/*", origin='"app"'))
        return config.node(text, config.app_origin(apps[:1]), app, server='trusted = ["127.0.0.0/8"]')

    return setup


def told(node, listener, *arguments):
    """What the app is told of the client, by its fields' names in lower case."""
    host, port = node.https(listener)
    answer = curl(f"https://{host}:{port}/headers", "-k", *arguments)
    assert answer.status == 200
    fields = {name.lower(): value for name, value in json.loads(answer.body)["headers"].items()}
    return {name: value for name, value in fields.items() if name.startswith("x-client-cert")}


def shows(pair):
    return ["--cert", pair[0], "--key", pair[1]]


def is_let_in(node, listener, *arguments):
    seen = tls.Handshake(node.https(listener), *arguments, request=REQUEST)
    return "200 OK" in seen.text


def cert(pair):
    return ["-cert", pair[0], "-key", pair[1]]


def test_servers_are_told_who_the_client_is_and_nobody_can_pretend(start_node, setup_with, authority):
    node = start_node(setup_with())
    pair = authority.issue("client.test", "/C=DE/O=Example, Inc./CN=client \u00fc \"x\"")
    end = "-----END CERTIFICATE-----"
    der = ssl.PEM_cert_to_DER_cert(pair[0].read_text().split(end)[0] + end)
    for listener in (REQUIRED, OPTIONAL):
        fields = told(node, listener, *shows(pair), *FORGED)
        assert fields["x-client-cert-verify"] == "SUCCESS"
        assert fields["x-client-cert-fingerprint"] == hashlib.sha256(der).hexdigest()
        subject = fields["x-client-cert-subject"]
        assert subject.endswith(",O=Example\\, Inc.,C=DE") and subject.isascii(), subject
        assert set(fields) == {f"x-client-cert-{name}" for name in ("verify", "fingerprint", "subject")}
    # The peer is a trusted hop, and is not believed all the same.
    assert told(node, OPTIONAL, *FORGED) == {"x-client-cert-verify": "NONE"}
    assert told(node, OFF, *shows(pair), *FORGED) == {}
    plain = curl(node.url("/headers"), *FORGED)
    assert b"client-cert" not in plain.body.lower()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_only_good_certificates_are_let_in(start_node, setup_with, authority, tmp_path, version):
    node = start_node(setup_with())
    good = authority.issue("good.test")
    stranger = Authority(tmp_path / "other").issue("good.test")
    for_servers = authority.issue("server.test", extensions=["extendedKeyUsage=serverAuth"])
    for listener in (REQUIRED, OPTIONAL):
        assert is_let_in(node, listener, version, *cert(good))
        assert not is_let_in(node, listener, version, *cert(stranger))
        assert not is_let_in(node, listener, version, *cert(for_servers))
    assert not is_let_in(node, REQUIRED, version)
    assert is_let_in(node, OPTIONAL, version)
    assert is_let_in(node, OFF, version, *cert(stranger))
    assert node.metric("vignette_tls_handshakes_failed_total", reason="protocol") == 5


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_ticket_of_a_listener_that_asks_less_is_no_way_in(start_node, setup_with, authority, tmp_path, version):
    node = start_node(setup_with())
    session = tmp_path / "session"
    for listener in (OPTIONAL, OFF):
        kept = tls.Handshake(node.https(listener), version, "-sess_out", session, request=REQUEST)
        assert "200 OK" in kept.text
        again = tls.Handshake(node.https(listener), version, "-sess_in", session, request=REQUEST)
        assert again.resumed and "200 OK" in again.text
        assert not is_let_in(node, REQUIRED, version, "-sess_in", session)
    # A session with a certificate resumes with it.
    pair = authority.issue("client.test")
    tls.Handshake(node.https(REQUIRED), version, *cert(pair), "-sess_out", session, request=REQUEST)
    request = REQUEST.replace(b"/hello", b"/headers")
    again = tls.Handshake(node.https(REQUIRED), version, "-sess_in", session, request=request)
    assert again.resumed and "CN=client.test" in again.text, again.text


def test_a_revoked_certificate_is_out_as_soon_as_the_list_changes(
    start_node, setup_with, authority, tmp_path, eventually
):
    revocations = authority.revocations(tmp_path / "revoked.pem")
    node = start_node(setup_with(f', crl = "{revocations}"'))
    good, bad = authority.issue("good.test"), authority.issue("bad.test")
    session = tmp_path / "session"
    for pair in (good, bad):
        kept = tls.Handshake(node.https(REQUIRED), *cert(pair), "-sess_out", session, request=REQUEST)
        assert "200 OK" in kept.text
    authority.revoke(bad[0])
    authority.revocations(revocations)
    eventually(lambda: not is_let_in(node, REQUIRED, *cert(bad)), 10, "the revoked client being refused")
    assert not is_let_in(node, REQUIRED, "-sess_in", session)  # its ticket is worth nothing either
    assert is_let_in(node, REQUIRED, *cert(good))


def test_what_is_wrong_with_the_files_is_an_error_of_the_listener(setup_with, tmp_path, authority):
    path = tmp_path / "node.toml"
    authority.certificate.write_text("no certificate")
    path.write_text(setup_with())
    code, output = check(path)
    assert code == 1 and output.count("cannot use client CA file") == 2, output


def test_a_client_that_does_not_get_on_with_its_handshake_is_closed(start_node, setup_with):
    node = start_node(setup_with() + '[timeouts]\nhandshake = "200ms"\n')
    with socket.create_connection(node.https(), timeout=10) as sock:
        sock.sendall(b"\x16\x03\x01")
        assert sock.recv(100) == b""
    assert node.metric("vignette_tls_handshakes_failed_total", reason="timeout") == 1
