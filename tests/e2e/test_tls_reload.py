"""Certificates that change while the node runs: by themselves, by order, and never at the cost of a handshake."""

import json
import socket
import ssl
import threading

import pytest

from support import config, tls
from support.client import curl

LISTENER = '[[listener]]\naddress = "127.0.0.2:0"\ntls = true\n'


def served(node):
    """The certificate of one whole handshake, as bytes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(node.https(), timeout=10) as sock, context.wrap_socket(sock) as secured:
        return secured.getpeercert(binary_form=True)


def bytes_of(chain):
    return ssl.PEM_cert_to_DER_cert(chain.read_text())


@pytest.fixture
def folder(tmp_path):
    """Where the node's certificate is; tmp_path / "new" is for what takes its place."""
    for name in ("live", "new"):
        (tmp_path / name).mkdir()
    tls.make_certificate(tmp_path / "live", "one.test")
    return tmp_path / "live"


@pytest.fixture
def start(start_node, folder, apps):
    def start_with(poll):
        certificate = f'[tls]\npoll = "{poll}"\n[[certificate]]\nchain = "{folder}/one.test.pem"\n'
        certificate += f'key = "{folder}/one.test.key"\n'
        app = config.site(config.route("/*", origin='"app"'))
        return start_node(config.node(LISTENER, certificate, config.app_origin(apps[:1]), app))

    return start_with


def renew(folder, name="one.test", **options):
    """Puts new files into the place of the old ones, each at once, as certbot does; the new chain's bytes."""
    chain, key = tls.make_certificate(folder.parent / "new", name, **options)
    wanted = bytes_of(chain)
    key.replace(folder / "one.test.key")
    chain.replace(folder / "one.test.pem")
    return wanted


def put(path, content):
    """At once, as whoever looks at the wrong moment sees half a file otherwise."""
    whole = path.with_suffix(".whole")
    whole.write_bytes(content)
    whole.replace(path)


def order(node):
    return curl(f"http://{node.addresses['admin'][0]}/v1/certificates/reload", "-d", "{}")


class Visitors:
    """Handshakes without end, in two threads; what went wrong is kept."""

    def __init__(self, node):
        self.node = node
        self.seen = set()
        self.problems = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._visit) for _ in range(2)]

    def _visit(self):
        while not self.stopping.is_set():
            try:
                self.seen.add(served(self.node))
            except OSError as error:
                self.problems.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def test_changed_files_are_taken_up_and_no_handshake_is_lost(start, folder, eventually):
    node = start("50ms")
    wanted = [bytes_of(folder / "one.test.pem")]
    with Visitors(node) as visitors:
        for kind in ("rsa", "ecdsa", "ecdsa"):
            wanted.append(renew(folder, kind=kind))
            eventually(lambda: wanted[-1] in visitors.seen, 10, "the new certificate")
    assert not visitors.problems
    assert visitors.seen == set(wanted)
    assert node.status()["generation"] == 1  # it is not a reload
    assert node.metric("vignette_tls_handshakes_failed_total") == 0


def test_files_that_do_not_work_are_told_of_once_and_change_nothing(start, folder, eventually):
    node = start("50ms")
    before = served(node)
    chain = folder / "one.test.pem"
    good = chain.read_bytes()
    for wrong, said in (
        (b"no certificate", "cannot use certificate chain"),
        (tls.make_certificate(folder.parent / "new", "other.test")[0].read_bytes(), "key values mismatch"),
    ):
        put(chain, wrong)
        node.log_contains(said)
        assert served(node) == before
    chain.unlink()
    node.log_contains("No such file or directory")
    assert served(node) == before
    complaints = [line for line in node.child.lines if "going on with those in use" in line]
    put(chain, good)
    node.log_contains("certificates: read again; 1 in use")
    after = [line for line in node.child.lines if "going on with those in use" in line]
    assert after == complaints  # not told again at every look
    wanted = renew(folder)
    eventually(lambda: served(node) == wanted, 10, "the new certificate")


def test_an_order_reads_them_again_and_is_answered_when_they_are_in_use(start, folder):
    node = start("0s")
    wanted = renew(folder)
    answer = order(node)
    assert answer.status == 200, answer.body
    shown = json.loads(answer.body)["certificates"]
    assert [(entry["names"], entry["algorithm"]) for entry in shown] == [(["one.test"], "ECDSA")]
    assert served(node) == wanted
    assert json.loads(node.admin("/v1/certificates"))["certificates"] == shown
    ends = node.metric("vignette_certificate_not_after_seconds", name="one.test", algorithm="ECDSA")
    assert ends == shown[0]["not_after"] > shown[0]["not_before"]

    (folder / "one.test.key").write_text("no key")
    answer = order(node)
    assert answer.status == 409
    assert "cannot use key" in json.loads(answer.body)["errors"][0]
    assert served(node) == wanted
    assert curl(f"http://{node.addresses['admin'][0]}/v1/certificates/reload").status == 405


def test_a_reload_of_the_configuration_reads_them_too(start, folder, eventually):
    node = start("0s")
    wanted = renew(folder)
    node.reload()
    eventually(lambda: served(node) == wanted, 10, "the new certificate")


def test_handshakes_are_counted_by_version_and_outcome(start, tmp_path):
    node = start("10s")
    session = tmp_path / "session"
    for flag, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        request = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert tls.Handshake(node.https(), flag, "-sess_out", session, request=request).ok
        assert tls.Handshake(node.https(), flag, "-sess_in", session, request=request).resumed
        for resumed in ("no", "yes"):
            assert node.metric("vignette_tls_handshakes_total", version=version, resumed=resumed) == 1
    assert not tls.Handshake(node.https(), "-tls1_1", "-cipher", "ALL:@SECLEVEL=0").ok
    assert node.metric("vignette_tls_handshakes_failed_total", reason="protocol") == 1
