"""Reloads that take long, and reloads of a node that was root when it started, as these tests are."""

import contextlib
import errno
import os
import signal
import socket
import tempfile
from pathlib import Path

import pytest

from support import config, tls
from support.client import curl
from support.process import wait_until
from support.vignette import Vignette, check

TLS_LISTENER = '[[listener]]\naddress = "127.0.0.2:0"\ntls = true\n'


def routes(marker):
    headers = f'{{ set = {{ "X-Marker" = "{marker}" }} }}'
    return config.site(config.route("/*", origin='["app", "spare"]', headers=headers))


def marker(node):
    return curl(node.url("/hello")).header("x-marker")


class SlowFile:
    """Stands in a file's place: who opens it waits until release() has put the file there."""

    def __init__(self, path):
        self.path = path
        self.text = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        self.writer = None

    def _has_reader(self):
        try:
            self.writer = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO
        return self.writer is not None

    def await_reader(self):
        wait_until(self._has_reader, 10, f"somebody reading {self.path.name}")

    def release(self):
        whole = self.path.with_suffix(".whole")
        whole.write_bytes(self.text)
        whole.replace(self.path)
        os.write(self.writer, self.text)
        os.close(self.writer)


@pytest.fixture
def slow(start_node, apps, tmp_path):
    """A node, the configuration for a marker, and a file of it that is slow to read from now on."""
    authority, _ = tls.make_certificate(tmp_path, "authority")
    origins = config.app_origin(apps[:1]) + config.app_origin(apps[1:2], "spare", tls=f'{{ ca = "{authority}" }}')

    def setup_for(name):
        return config.node(origins, routes(name))

    return start_node(setup_for("one")), setup_for, SlowFile(authority)


def test_a_slow_load_stops_nothing_and_a_signal_meanwhile_is_not_forgotten(slow):
    node, setup_for, file = slow
    node.reload(setup_for("two"))
    file.await_reader()
    assert node.status()["generation"] == 1  # main's loop answers
    assert marker(node) == "one"
    node.reload(setup_for("three"))  # what is being loaded has been read before this
    assert node.status()["generation"] == 1
    file.release()
    wait_until(lambda: marker(node) == "three", 10, "the last configuration in force")
    assert node.status()["generation"] == 3
    assert node.metric("vignette_reloads_failed_total") == 0


def test_a_node_that_drains_during_a_load_ends_in_order_without_it(slow):
    node, setup_for, file = slow
    node.reload(setup_for("two"))
    file.await_reader()
    node.child.signal(signal.SIGTERM)
    node.log_contains("draining")
    file.release()
    assert node.child.wait(10) == 0
    assert not any("is in use" in line for line in node.child.lines)


def test_how_late_loops_are_is_told_for_main_and_for_each_worker(slow):
    node, _, file = slow
    marker(node)
    for name in ("vignette_loop_lag_seconds", "vignette_loop_lag_worst_seconds"):
        for worker in ("main", "0", "1"):
            assert node.metric(name, worker=worker) >= 0
    assert node.metric("vignette_log_lines_lost_total") == 0
    assert node.metric("vignette_connections_unwatched_total") == 0
    file.path.unlink()


@pytest.fixture
def folder():
    """One that every user may look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="vignette-reload-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def nobodys(apps, folder, name, *more):
    """The configuration of a node that becomes nobody; its certificate's key is root's alone."""
    certificate = f'[[certificate]]\nchain = "{folder}/one.test.pem"\nkey = "{folder}/one.test.key"\n'
    origins = config.app_origin(apps[:1]) + config.app_origin(apps[1:2], "spare")
    return config.node(TLS_LISTENER, certificate, origins, routes(name), *more, server='user = "nobody"')


def key_of(folder, mode=0o600):
    _, key = tls.make_certificate(folder, "one.test")
    key.chmod(mode)


def served_certificate(node):
    shown = tls.Handshake(node.https(), "-showcerts").text
    return shown[shown.index("-----BEGIN") : shown.index("-----END")]


def test_a_key_of_roots_is_kept_by_reloads_until_it_changes(apps, folder):
    key_of(folder)
    with Vignette(folder, nobodys(apps, folder, "one")) as node:
        assert f"Uid:\t{65534}" in Path(f"/proc/{node.pid}/status").read_text()
        node.log_contains("one.test.key: user nobody may not read it, so a new one needs a restart")
        first = served_certificate(node)
        node.reload(nobodys(apps, folder, "two"))
        wait_until(lambda: marker(node) == "two", 10, "the new configuration in force")
        assert served_certificate(node) == first

        key_of(folder)
        node.reload(nobodys(apps, folder, "three"))
        node.log_contains("it has changed, and this process may not read it any more")
        node.log_contains("reload: refused")
        assert marker(node) == "two" and served_certificate(node) == first

        (folder / "one.test.key").chmod(0o644)
        node.reload()
        wait_until(lambda: marker(node) == "three", 10, "the new configuration in force")
        assert served_certificate(node) != first


def test_what_would_refuse_every_reload_is_said_at_the_start_and_by_check(apps, folder):
    key_of(folder, 0o644)
    secret = folder / "k1.secret"
    secret.write_text("x" * 32)
    secret.chmod(0o600)
    keys = '[images]\nkeys = [{ id = "k1", secret_file = "k1.secret" }]\n'
    text = nobodys(apps, folder, "one", keys)
    with Vignette(folder, text) as node:
        node.log_contains("reloads will be refused until it may")
        assert any("warning: cannot read" in line and "k1.secret" in line for line in node.child.lines)
        code, output = check(node.path)
        assert code == 0 and "node.toml: ok" in output
        assert "k1.secret: Permission denied" in output
        secret.chmod(0o644)
        assert check(node.path)[1].count("warning") == 0
        node.reload(nobodys(apps, folder, "two", keys))
        wait_until(lambda: marker(node) == "two", 10, "the new configuration in force")


def free_low_port():
    for port in range(1023, 600, -1):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.4", port))
            return port
    raise AssertionError("no free port below 1024")


def test_a_reload_opens_a_port_below_1024_after_root_was_given_up(apps, folder):
    key_of(folder)
    port = free_low_port()
    with Vignette(folder, nobodys(apps, folder, "one")) as node:
        node.reload(nobodys(apps, folder, "one", f'[[listener]]\naddress = "127.0.0.4:{port}"\n'))
        wait_until(lambda: node.status()["generation"] == 2, 10, "the new configuration in force")
        assert curl(f"http://127.0.0.4:{port}/hello").status == 200


def test_the_admin_socket_is_the_users_own(apps, folder):
    key_of(folder)
    address = folder / "admin.sock"
    text = nobodys(apps, folder, "one").replace('"127.0.0.3:0"', f'"unix:{address}"', 1)
    with Vignette(folder, text) as node:
        facts = address.stat()
        assert (facts.st_uid, facts.st_gid, facts.st_mode & 0o777) == (65534, 65534, 0o660)
        assert isinstance(node.status(), dict)


def test_an_access_log_that_the_user_cannot_open_again_goes_on_in_the_old_file(apps, folder):
    key_of(folder)
    log, moved = folder / "access.log", folder / "access.log.1"
    with Vignette(folder, nobodys(apps, folder, "one")) as node:
        log.rename(moved)
        node.child.signal(signal.SIGUSR1)
        node.log_contains("access log")
        node.log_contains("going on with the old file")
        told = [line for line in node.child.lines if "old file" in line]
        assert len(told) == 1 and "error access log" in told[0] and "Permission denied" in told[0]
        curl(node.url("/hello?after"))
        wait_until(lambda: "after" in moved.read_text(), 10, "a line in the old file")
        assert not log.exists()
