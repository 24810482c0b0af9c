"""TLS in front, looked at with openssl s_client and curl."""

import socket

import pytest

from support import config, tls
from support.client import curl


@pytest.fixture
def certificates(tmp_path):
    return {name: tls.make_certificate(tmp_path, name) for name in ("one.test", "two.test")}


@pytest.fixture
def node(start_node, certificates, apps):
    listed = "".join(f'[[certificate]]\nchain = "{chain}"\nkey = "{key}"\n' for chain, key in certificates.values())
    listener = '[[listener]]\naddress = "127.0.0.2:0"\ntls = true\n'
    return start_node(
        config.node(listener, listed, config.app_origin(apps), config.site(config.route("/*", origin='"app"')))
    )


@pytest.mark.parametrize("name", ["one.test", "two.test"])
def test_the_certificate_follows_the_name_asked_for(node, certificates, name):
    chain, _ = certificates[name]
    for version, flag in (("TLSv1.2", "-tls1_2"), ("TLSv1.3", "-tls1_3")):
        seen = tls.Handshake(node.https(), "-servername", name, "-CAfile", chain, "-verify_hostname", name, flag)
        assert seen.ok, seen.text
        assert (seen.version, seen.common_name, seen.verified) == (version, name, True)
        assert "GCM" in seen.cipher or "CHACHA20" in seen.cipher


def test_an_unknown_or_missing_name_gets_the_first_certificate(node):
    for arguments in (["-servername", "three.test"], ["-noservername"]):
        seen = tls.Handshake(node.https(), *arguments)
        assert seen.ok and seen.common_name == "one.test", seen.text


@pytest.mark.parametrize("flag", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(node, flag):
    seen = tls.Handshake(node.https(), flag, "-cipher", "ALL:@SECLEVEL=0")
    assert not seen.ok
    assert "alert protocol version" in seen.text, seen.text


def test_ciphers_without_authenticated_encryption_are_refused(node):
    seen = tls.Handshake(node.https(), "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256")
    assert not seen.ok
    assert "handshake failure" in seen.text, seen.text


def test_http_1_is_negotiated_and_unknown_protocols_are_not(node):
    assert tls.Handshake(node.https(), "-alpn", "http/1.1").alpn == "http/1.1"
    assert tls.Handshake(node.https(), "-alpn", "imap").alpn is None


def test_curl_verifies_us_and_gets_its_answer(node, certificates):
    host, port = node.https()
    chain, _ = certificates["one.test"]
    answer = curl(
        f"https://one.test:{port}/headers", "--cacert", chain, "--resolve", f"one.test:{port}:{host}", "--http1.1"
    )
    assert answer.status == 200
    assert b'"https"' in answer.body  # X-Forwarded-Proto


def test_plain_http_on_the_tls_port_does_no_harm(node, certificates):
    with socket.create_connection(node.https(), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while sock.recv(4096):
            pass
    assert tls.Handshake(node.https(), "-servername", "one.test").ok
