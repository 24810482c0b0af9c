"""Versions by policy, under our names and under AWS's."""

import pytest

from support import config, tls
from support.vignette import check

POLICIES = ("modern", "intermediate", "ELBSecurityPolicy-TLS13-1-3-2021-06", "ELBSecurityPolicy-TLS13-1-2-2021-06")


@pytest.fixture
def parts(tmp_path, apps):
    chain, key = tls.make_certificate(tmp_path, "one.test")
    certificate = f'[[certificate]]\nchain = "{chain}"\nkey = "{key}"\n'
    return certificate, config.app_origin(apps[:1]), config.site(config.route("/*", origin='"app"'))


def listener(number, policy):
    return f'[[listener]]\naddress = "127.0.0.{number + 4}:0"\ntls = true\ntls_policy = "{policy}"\n'


def test_a_policy_says_which_versions_are_spoken(start_node, parts):
    listeners = "".join(listener(number, policy) for number, policy in enumerate(POLICIES))
    node = start_node(config.node(listeners, *parts))
    for number, policy in enumerate(POLICIES):
        is_modern = policy in ("modern", "ELBSecurityPolicy-TLS13-1-3-2021-06")
        assert tls.Handshake(node.https(number), "-tls1_3").version == "TLSv1.3"
        old = tls.Handshake(node.https(number), "-tls1_2")
        assert old.ok is not is_modern, policy
        assert ("alert protocol version" in old.text) is is_modern, policy


def test_the_servers_order_of_ciphers_counts(start_node, parts):
    node = start_node(config.node(listener(0, "intermediate"), *parts))
    for offered, chosen in (
        ("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ):
        assert tls.Handshake(node.https(), "-tls1_2", "-cipher", offered).cipher == chosen
    assert not tls.Handshake(node.https(), "-tls1_2", "-curves", "P-521").ok


def test_an_unknown_policy_is_told_the_nearest(tmp_path, parts):
    path = tmp_path / "node.toml"
    path.write_text(config.node(listener(0, "intermediat"), *parts))
    code, output = check(path)
    assert code == 1 and '(did you mean "intermediate"?)' in output, output
