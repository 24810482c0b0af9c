"""Which certificate a client is shown: by the name that it asks for, and by what it can check."""

import pytest

from support import config, tls
from support.vignette import check

LISTENERS = """
[[listener]]
address = "127.0.0.2:0"
tls = true
[[listener]]
address = "127.0.0.4:0"
tls = true
default_certificate = "x.two.test"
"""

SIGNATURES = {
    "ECDSA": ["-sigalgs", "ECDSA+SHA256"],
    "RSA": ["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"],
    "both": ["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256:ECDSA+SHA256"],
}


def listed(pairs):
    return "".join(f'[[certificate]]\nchain = "{chain}"\nkey = "{key}"\n' for chain, key in pairs)


@pytest.fixture
def node(start_node, tmp_path, apps):
    """one.test has both kinds; *.two.test has RSA only, and exact.two.test an ECDSA certificate of its own."""
    pairs = [
        tls.make_certificate(tmp_path, "one.test", kind="rsa", label="one-rsa"),
        tls.make_certificate(tmp_path, "one.test", label="one-ecdsa"),
        tls.make_certificate(tmp_path, "two.test", ["*.two.test"], kind="rsa"),
        tls.make_certificate(tmp_path, "exact.two.test"),
    ]
    return start_node(
        config.node(LISTENERS, listed(pairs), config.app_origin(apps), config.site(config.route("/*", origin='"app"')))
    )


def shown(node, *arguments, number=0):
    seen = tls.Handshake(node.https(number), *arguments)
    assert seen.ok, seen.text
    return seen.common_name, seen.key_kind


@pytest.mark.parametrize("version", [["-tls1_3"], ["-tls1_2"]])
def test_the_clients_signature_algorithms_choose_between_ecdsa_and_rsa(node, version):
    for can_check, kind in (("ECDSA", "ECDSA"), ("RSA", "RSA"), ("both", "ECDSA")):
        arguments = [*version, *SIGNATURES[can_check]]
        if can_check == "RSA" and "-tls1_2" in version:
            arguments += ["-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]
        assert shown(node, "-servername", "one.test", *arguments) == ("one.test", kind), can_check
        # The first of the file and its twin are also the default.
        assert shown(node, "-noservername", *arguments) == ("one.test", kind), can_check


def test_an_exact_name_has_its_own_certificate_and_the_wildcards_for_the_other_kind(node):
    assert shown(node, "-servername", "any.two.test") == ("two.test", "RSA")
    assert shown(node, "-servername", "exact.two.test") == ("exact.two.test", "ECDSA")
    assert shown(node, "-servername", "exact.two.test", *SIGNATURES["RSA"]) == ("two.test", "RSA")
    assert shown(node, "-servername", "a.b.two.test")[0] == "one.test"


def test_each_listener_has_its_default_certificate(node):
    for arguments in (["-noservername"], ["-servername", "unknown.test"]):
        assert shown(node, *arguments)[0] == "one.test"
        assert shown(node, *arguments, number=1)[0] == "two.test"
    assert shown(node, "-servername", "one.test", number=1)[0] == "one.test"


def test_a_default_that_no_certificate_covers_is_an_error_of_the_listener(tmp_path):
    pair = tls.make_certificate(tmp_path, "one.test")
    path = tmp_path / "node.toml"
    listener = '[[listener]]\naddress = "127.0.0.1:0"\ntls = true\ndefault_certificate = "x.test"\n'
    path.write_text(listener + listed([pair]))
    code, output = check(path)
    assert code == 1 and 'node.toml:1:1: error: no certificate covers "x.test", the default' in output, output
    path.write_text(listener.replace("tls = true\n", ""))
    code, output = check(path)
    assert code == 1 and '"default_certificate" needs a listener with tls' in output, output
