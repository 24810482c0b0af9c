"""What the issuer says of a certificate, sent along with it: of a file, or asked of the issuer's responder."""

import base64
import http.server
import threading
import urllib.parse

import pytest

from support import config, tls
from support.authority import Authority, openssl

LISTENER = '[[listener]]\naddress = "127.0.0.2:0"\ntls = true\n[tls]\npoll = "50ms"\n'


class Responder:
    """openssl ocsp behind HTTP; what it says can be spoiled."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = None
        self.paths = []
        self.status = 200
        self.body = None  # instead of openssl's
        responder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                responder.paths.append(self.path)
                encoded = urllib.parse.unquote(self.path.removeprefix("/ocsp/"))
                body = responder.body or responder.answer(base64.b64decode(encoded))
                self.send_response(responder.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/ocsp"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request, *options):
        """DER for a request in DER."""
        asked, said = self.folder / "request.der", self.folder / "answer.der"
        asked.write_bytes(request)
        ours = self.authority
        index = ["-index", ours.folder / "index.txt", "-CA", ours.certificate]
        signer = ["-rsigner", ours.certificate, "-rkey", ours.key]
        openssl("ocsp", *index, *signer, "-reqin", asked, "-respout", said, *(options or ("-ndays", "2")))
        return said.read_bytes()

    def answer_for(self, chain, *options):
        request = self.folder / "own-request.der"
        openssl("ocsp", "-issuer", self.authority.certificate, "-cert", chain, "-no_nonce", "-reqout", request)
        return self.answer(request.read_bytes(), *options)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def responder(tmp_path):
    (tmp_path / "responder").mkdir()
    responder = Responder(tmp_path / "responder")
    responder.authority = Authority(tmp_path / "ca")
    yield responder
    responder.stop()


@pytest.fixture
def start(start_node, apps):
    def start_with(pair, ocsp):
        certificate = f'[[certificate]]\nchain = "{pair[0]}"\nkey = "{pair[1]}"\nocsp = "{ocsp}"\n'
        app = config.site(config.route("/*", origin='"app"'))
        return start_node(config.node(LISTENER, certificate, config.app_origin(apps[:1]), app))

    return start_with


def issue(responder, name="one.test"):
    return responder.authority.issue(name, extensions=[f"authorityInfoAccess=OCSP;URI:{responder.url}"])


def stapled(node, authority):
    """What is sent along: "good" when openssl has checked it, None when nothing is."""
    arguments = ["-status", "-CAfile", authority.certificate, "-verify_return_error"]
    seen = tls.Handshake(node.https(), *arguments)
    assert seen.ok, seen.text
    if "OCSP response: no response sent" in seen.text:
        return None
    assert "OCSP Response Status: successful" in seen.text, seen.text
    return "good" if "Cert Status: good" in seen.text else seen.text


def test_an_answer_is_fetched_in_the_background_and_sent_along(start, responder, eventually):
    pair = issue(responder)
    node = start(pair, "fetch")
    eventually(lambda: stapled(node, responder.authority) == "good", 10, "an answer to staple")
    assert len(responder.paths) == 1
    for version in ("-tls1_2", "-tls1_3"):
        assert "Cert Status: good" in tls.Handshake(node.https(), version, "-status").text
    assert "OCSP" not in tls.Handshake(node.https()).text  # who does not ask gets nothing
    # What is known stays known when certificates are read again, and another one is asked about.
    again = node.metric("vignette_ocsp_requests_total")
    pair[0].write_text(pair[0].read_text() + "\n")
    node.log_contains("certificates: read again")
    assert stapled(node, responder.authority) == "good"
    assert node.metric("vignette_ocsp_requests_total") == again == 1
    issue(responder)
    eventually(lambda: len(responder.paths) == 2, 10, "a question about the new certificate")
    eventually(lambda: stapled(node, responder.authority) == "good", 10, "its answer")
    assert node.metric("vignette_ocsp_requests_failed_total") == 0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda responder, pair: setattr(responder, "status", 503), "it did not answer 200"),
        (lambda responder, pair: setattr(responder, "body", b"<html>hello"), "it is no OCSP answer"),
        (lambda responder, pair: setattr(responder, "body", b"0" * 100_000), "the answer is too long"),
        (lambda responder, pair: responder.authority.revoke(pair[0]), "the certificate is revoked"),
        (lambda responder, pair: responder.stop(), "refused"),
    ],
    ids=["503", "html", "endless", "revoked", "gone"],
)
def test_what_cannot_go_along_is_told_and_stops_no_handshake(start, responder, spoil, said):
    pair = issue(responder)
    spoil(responder, pair)
    node = start(pair, "fetch")
    node.log_contains("that could go along")
    assert any(said in line and "asked again in 60 s" in line for line in node.child.lines), node.child.tail()
    assert stapled(node, responder.authority) is None
    assert node.metric("vignette_ocsp_requests_failed_total") == 1


def test_an_answer_of_another_authority_is_not_believed(start, responder, tmp_path):
    pair = issue(responder)
    ours, other = responder.authority, Authority(tmp_path / "other")
    ours.certificate, good = other.certificate, ours.certificate
    ours.key = other.key
    responder.body = responder.answer_for(pair[0])
    ours.certificate = good
    node = start(pair, "fetch")
    node.log_contains("that could go along")
    assert stapled(node, responder.authority) is None


def test_an_answer_of_a_file_is_checked_and_read_again_when_it_changes(start, responder, tmp_path, eventually):
    pair = issue(responder)
    file = tmp_path / "answer.der"
    file.write_bytes(responder.answer_for(pair[0], "-nmin", "60"))
    node = start(pair, file)
    assert stapled(node, responder.authority) == "good"
    assert not responder.paths

    stranger = responder.authority.issue("two.test")
    elsewhere = responder.answer_for(stranger[0])
    for wrong, said in ((elsewhere, "it is about another certificate"), (b"", "no OCSP answer")):
        file.write_bytes(wrong)
        node.log_contains(said)
        eventually(lambda: stapled(node, responder.authority) is None, 10, "nothing that goes along")
    file.write_bytes(responder.answer_for(pair[0]))
    eventually(lambda: stapled(node, responder.authority) == "good", 10, "the new answer")


def test_a_certificate_that_names_no_responder_is_served_without(start, responder):
    pair = responder.authority.issue("one.test")
    node = start(pair, "fetch")
    node.log_contains("the certificate names no OCSP responder that answers over http; nothing is stapled")
    assert stapled(node, responder.authority) is None
    alone = tls.make_certificate(responder.folder, "alone.test")
    node = start(alone, "fetch")
    node.log_contains("the chain does not hold the issuer's certificate; nothing is stapled")
