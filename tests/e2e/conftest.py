"""Fixtures: the neighbours live as long as a test file, the node is each test's own."""

import itertools
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import photos, places, tls  # noqa: E402
from support.apps import AppServer  # noqa: E402
from support.process import wait_until  # noqa: E402
from support.s3 import S3Server  # noqa: E402
from support.vignette import Vignette  # noqa: E402


def pytest_terminal_summary(terminalreporter):
    for name in sorted(set(places.MISSING)):
        terminalreporter.write_line(f"no test data {name}: done without it")


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def s3_behaves(request):
    """What a test did to the S3 server does not reach the next one."""
    yield
    if "s3" in request.fixturenames:
        request.getfixturevalue("s3").set()


@pytest.fixture(scope="module")
def photo_files(tmp_path_factory):
    return photos.write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def apps(tmp_path_factory):
    """Three gunicorn servers: two on TCP, the third on a unix socket."""
    socket = tmp_path_factory.mktemp("apps") / "app3.sock"
    servers = [AppServer("app1"), AppServer("app2"), AppServer("app3", f"unix:{socket}")]
    try:
        yield [server.start() for server in servers]
    finally:
        for server in servers:
            server.stop()


@pytest.fixture(scope="module")
def https_listener(tmp_path_factory):
    """TOML of a TLS listener whose certificate is for t.local."""
    return tls.listener(tmp_path_factory.mktemp("certificate"), "t.local")


@pytest.fixture
def directory(tmp_path):
    """Of a node that a scene starts more than once."""
    path = tmp_path / "node"
    path.mkdir()
    return path


@pytest.fixture
def start_node(tmp_path):
    """start_node(config, environment) -> Vignette; stopped, and its exit code checked, when the test ends."""
    running = []
    numbers = itertools.count()

    def start(config, environment=None):
        directory = tmp_path / f"node{next(numbers)}"
        directory.mkdir()
        node = Vignette(directory, config, environment)
        running.append(node)
        return node

    yield start
    problems = []
    for node in running:
        if node.child.running():
            try:
                node.stop()
            except AssertionError as error:
                problems.append(str(error))
        node.child.signal_group(signal.SIGKILL)  # whatever the node left behind when it died
        print(node.child.tail(60))
    assert not problems, problems


@pytest.fixture
def eventually():
    return wait_until
