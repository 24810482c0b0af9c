"""The default policy as sslscan and testssl.sh see it: they complain of nothing but what is named here."""

import json
import subprocess
import xml.etree.ElementTree

import pytest

from support import config, tls

LISTENER = '[[listener]]\naddress = "127.0.0.2:0"\ntls = true\n'

SUITES = {
    "TLSv1.3": {"TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384"},
    "TLSv1.2": {
        f"ECDHE-{kind}-{cipher}"
        for kind in ("ECDSA", "RSA")
        for cipher in ("AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES256-GCM-SHA384")
    },
}

# Findings of testssl.sh that are about the certificate, which is made here, and not about what serves it.
OF_A_CERTIFICATE_MADE_HERE = {
    "cert_chain_of_trust",  # signed by itself
    "cert_revocation",  # so there is nobody to revoke it
    "cert_notAfter",
    "cert_expirationStatus",  # good for thirty days
    "DNS_CAArecord",  # of a name that is in no DNS
    "OCSP_stapling",
    "certificate_transparency",
    "issuer",
}
# The app's page is compressible; whether it mixes secrets with what others choose is the app's.
OF_COMPRESSIBLE_PAGES = {"BREACH"}
# It looks with an openssl that has no GOST.
OF_WHO_LOOKS = {"engine_problem"}
FINE = {"OK", "INFO", "DEBUG"}


@pytest.fixture
def node(start_node, tmp_path, apps):
    pairs = [
        tls.make_certificate(tmp_path, "one.test"),
        tls.make_certificate(tmp_path, "one.test", kind="rsa", label="rsa"),
    ]
    listed = "".join(f'[[certificate]]\nchain = "{chain}"\nkey = "{key}"\n' for chain, key in pairs)
    app = config.site(config.route("/*", origin='"app"'))
    return start_node(config.node(LISTENER, listed, config.app_origin(apps[:1]), app))


def run(command, seconds):
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=seconds)
    return done.stdout.decode("utf-8", "replace")


def sslscan(node):
    host, port = node.https()
    text = run(["sslscan", "--no-colour", "--sni-name=one.test", "--xml=-", f"{host}:{port}"], 60)
    return xml.etree.ElementTree.fromstring(text).find("ssltest")


def test_sslscan_finds_two_versions_their_suites_and_nothing_else(node):
    seen = sslscan(node)
    protocols = [item for item in seen.iter("protocol") if item.get("enabled") == "1"]
    spoken = {f"{item.get('type').upper()}v{item.get('version')}" for item in protocols}
    assert spoken == {"TLSv1.2", "TLSv1.3"}
    for version, suites in SUITES.items():
        found = [item for item in seen.iter("cipher") if item.get("sslversion") == version]
        assert {item.get("cipher") for item in found} == suites
        assert [item.get("status") for item in found].count("preferred") == 1  # the server's order counts
    groups = {item.get("name") for item in seen.iter("group")}
    assert groups and groups <= {"x25519", "secp256r1 (NIST P-256)"}, groups
    assert seen.find("renegotiation").get("supported") == "0"
    assert {item.get("vulnerable") for item in seen.iter("heartbleed")} == {"0"}


# Sections of testssl.sh; slow ones that only repeat sslscan's are left out.
SECTIONS = {
    "protocols": ["-p"],
    "forward secrecy": ["-f"],
    "server defaults": ["-S"],
    "vulnerabilities": ["-H", "-I", "-T", "-BB", "-R", "-C", "-B", "-O", "-Z", "-W", "-F", "-D", "-J", "-A", "-L", "-4"],
}


@pytest.mark.parametrize("section", SECTIONS)
def test_testssl_complains_of_nothing_but_the_certificate(node, tmp_path, section):
    host, port = node.https()
    report = tmp_path / "report.json"
    options = ["--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--ip", host, "--jsonfile", report]
    for _ in range(3):  # on a busy machine it gives up a connection of its own now and then
        report.unlink(missing_ok=True)
        text = run(["testssl", *SECTIONS[section], *options, f"one.test:{port}"], 120)
        findings = json.loads(report.read_text())
        if not any("connect problem" in entry["finding"] for entry in findings):
            break
    accepted = OF_A_CERTIFICATE_MADE_HERE | OF_COMPRESSIBLE_PAGES | OF_WHO_LOOKS
    bad = {
        entry["id"]: (entry["severity"], entry["finding"])
        for entry in findings
        if entry["severity"] not in FINE and entry["id"].split(" ")[0] not in accepted
    }
    assert not bad, text
    assert len(findings) > 5, text  # it has looked
