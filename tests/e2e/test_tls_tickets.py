"""Sessions resumed by their tickets: by every worker, over reloads and over changes of keys."""

import os

import pytest

from support import config, tls

LISTENER = '[[listener]]\naddress = "127.0.0.2:0"\ntls = true\n'
REQUEST = b"GET /hello HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n"
VERSIONS = pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])


@pytest.fixture
def setup_with(tmp_path, apps):
    """The text of a configuration with these lines for tickets."""
    chain, key = tls.make_certificate(tmp_path, "one.test")

    def setup(lines=""):
        certificate = f'[[certificate]]\nchain = "{chain}"\nkey = "{key}"\n'
        app = config.site(config.route("/*", origin='"app"'))
        return config.node(LISTENER, f"[tls]\n{lines}\n", certificate, config.app_origin(apps[:1]), app, workers=3)

    return setup


class Visitor:
    """A client that keeps the last ticket it was given."""

    def __init__(self, folder, version):
        self.session = folder / f"session{version}"
        self.version = version

    def greet(self, node):
        seen = tls.Handshake(node.https(), self.version, "-sess_out", self.session, request=REQUEST)
        assert seen.ok and "200 OK" in seen.text and not seen.resumed, seen.text

    def resumes(self, node, keep=False):
        """Whether it is known again; what it has been given now is kept for later when asked."""
        arguments = ["-sess_in", self.session] + (["-sess_out", self.session] if keep else [])
        seen = tls.Handshake(node.https(), self.version, *arguments, request=REQUEST)
        assert seen.ok and "200 OK" in seen.text, seen.text
        return seen.resumed


def reload(node, text, eventually):
    generation = node.status()["generation"]
    node.reload(text)
    eventually(lambda: node.status()["generation"] > generation, 10, "the new configuration in force")


@VERSIONS
def test_a_session_resumes_at_every_worker_and_after_a_reload(start_node, setup_with, tmp_path, eventually, version):
    node = start_node(setup_with())
    visitor = Visitor(tmp_path, version)
    visitor.greet(node)
    assert all(visitor.resumes(node) for _ in range(10))  # of three workers, as the kernel likes
    reload(node, None, eventually)
    assert all(visitor.resumes(node) for _ in range(3))


def test_a_ticket_of_tls_1_3_is_for_one_connection_which_brings_the_next(start_node, setup_with, tmp_path):
    node = start_node(setup_with())
    visitor = Visitor(tmp_path, "-tls1_3")
    visitor.greet(node)
    tickets = {visitor.session.read_bytes()}
    for _ in range(3):
        assert visitor.resumes(node, keep=True)
        tickets.add(visitor.session.read_bytes())
    assert len(tickets) == 4


@VERSIONS
def test_a_ticket_ends_with_the_second_change_of_keys(start_node, setup_with, tmp_path, eventually, version):
    node = start_node(setup_with('ticket_rotation = "1s"'))
    visitor = Visitor(tmp_path, version)
    visitor.greet(node)
    eventually(lambda: not visitor.resumes(node), 10, "the ticket being too old")


@pytest.mark.parametrize("size", [48, 80])
def test_nodes_that_share_a_key_resume_each_others_sessions(start_node, setup_with, tmp_path, size):
    (tmp_path / "fleet.key").write_bytes(os.urandom(size))
    first = start_node(setup_with(f'ticket_keys = ["{tmp_path}/fleet.key"]'))
    second = start_node(setup_with(f'ticket_keys = ["{tmp_path}/fleet.key"]'))
    stranger = start_node(setup_with())
    for version in ("-tls1_2", "-tls1_3"):
        visitor = Visitor(tmp_path, version)
        visitor.greet(first)
        assert visitor.resumes(second)
        assert not visitor.resumes(stranger)


@VERSIONS
def test_keys_of_files_change_with_a_reload_and_old_tickets_are_renewed(
    start_node, setup_with, tmp_path, eventually, version
):
    for name in ("k1", "k2", "k3"):
        (tmp_path / name).write_bytes(os.urandom(80))

    def keys(*names):
        return setup_with("ticket_keys = [{}]".format(", ".join(f'"{tmp_path}/{name}"' for name in names)))

    node = start_node(keys("k1"))
    visitor, careless = Visitor(tmp_path, version), Visitor(tmp_path, version)
    careless.session = tmp_path / "careless"
    visitor.greet(node)
    careless.greet(node)
    reload(node, keys("k2", "k1"), eventually)
    assert careless.resumes(node)
    assert visitor.resumes(node, keep=True)  # and has a ticket of k2 now
    reload(node, keys("k3", "k2"), eventually)
    # s_client keeps what a resumed session is given in TLS 1.3 only.
    assert visitor.resumes(node) == (version == "-tls1_3")
    assert not careless.resumes(node)
    # The same name with another content.
    (tmp_path / "k3").write_bytes(os.urandom(80))
    (tmp_path / "k2").write_bytes(os.urandom(80))
    reload(node, None, eventually)
    assert not visitor.resumes(node)


def test_a_file_that_is_no_key_changes_nothing_and_says_why(start_node, setup_with, tmp_path):
    key = tmp_path / "fleet.key"
    key.write_bytes(os.urandom(80))
    node = start_node(setup_with(f'ticket_keys = ["{key}"]'))
    visitor = Visitor(tmp_path, "-tls1_3")
    visitor.greet(node)
    key.write_bytes(os.urandom(79))
    node.reload()
    node.log_contains("fleet.key is no ticket key: it has 79 bytes, not 48 or 80")
    node.log_contains("reload: refused")
    assert visitor.resumes(node)
