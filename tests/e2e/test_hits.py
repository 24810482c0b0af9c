"""A hit costs no allocation: the allocator's own count per thread does not move."""

import socket

import pytest
from PIL import Image

from support import config

HITS = 10_000


class Keeper:
    """One keep-alive connection that reads each answer whole."""

    def __init__(self, address, path):
        self.request = f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()
        self.socket = socket.create_connection(address, timeout=30)
        self.buffer = b""

    def ask(self, count):
        for _ in range(count):
            self.socket.sendall(self.request)
            self._answer()

    def _answer(self):
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        self.last_head = head.lower()
        length = int(self.last_head.split(b"content-length:")[1].split(b"\r\n")[0])
        self.buffer = rest
        while len(self.buffer) < length:
            self._more()
        self.buffer = self.buffer[length:]

    def _more(self):
        piece = self.socket.recv(65536)
        assert piece, "closed"
        self.buffer += piece


def assert_hits_allocate_nothing(node, path):
    keeper = Keeper(node.http(), path)
    keeper.ask(1_000)
    assert b"; hit" in keeper.last_head
    before = node.metric("vignette_worker_allocated_bytes_total", worker="0")
    keeper.ask(HITS)
    after = node.metric("vignette_worker_allocated_bytes_total", worker="0")
    assert before > 0
    assert after == before


@pytest.mark.parametrize("log", ["off", "access.log"])
def test_ten_thousand_hits_allocate_nothing(start_node, apps, log, eventually):
    site = config.site(config.route("/*", origin='"app"'))
    node = start_node(config.node(config.app_origin(apps[:1]), site, workers=1, log=f'access = "{log}"'))
    assert_hits_allocate_nothing(node, "/fresh?age=600")
    if log != "off":
        eventually(lambda: '"cache":"hit"' in (node.directory / log).read_text(), 10, "hits in the access log")


def test_ten_thousand_hits_of_a_file_allocate_nothing(start_node, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x" * 1024)
    origin = f'[origin.local]\ndirectory = "{tmp_path}"\n'
    node = start_node(config.node(origin, config.site(config.route("/o/*", origin='"local"')), workers=1))
    assert_hits_allocate_nothing(node, "/o/a.txt")


@pytest.mark.parametrize("url", ["/i/-/w=64/a.jpg", "/i/-/original/a.jpg"])
def test_ten_thousand_hits_of_a_photo_allocate_nothing(start_node, tmp_path, url):
    Image.new("RGB", (640, 480), (200, 120, 40)).save(tmp_path / "a.jpg")
    origin = f'[images]\nunsigned = "on"\n[origin.local]\ndirectory = "{tmp_path}"\n'
    node = start_node(config.node(origin, config.site(config.route("/i/*", images='"local"')), workers=1))
    assert_hits_allocate_nothing(node, url)
