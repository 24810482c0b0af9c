"""A hit costs no allocation: the allocator's own count per thread does not move."""

import socket

from support import config

REQUEST = b"GET /fresh?age=600 HTTP/1.1\r\nHost: test\r\n\r\n"
HITS = 10_000


class Keeper:
    """One keep-alive connection that reads each answer whole."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=30)
        self.buffer = b""

    def ask(self, count):
        for _ in range(count):
            self.socket.sendall(REQUEST)
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


def test_ten_thousand_hits_allocate_nothing(start_node, apps):
    setup = config.node(
        config.app_origin(apps[:1]), config.site(config.route("/*", origin='"app"')), workers=1, log='access = "off"'
    )
    node = start_node(setup)
    keeper = Keeper(node.http())
    keeper.ask(1_000)
    assert b"; hit" in keeper.last_head
    before = node.metric("vignette_worker_allocated_bytes_total", worker="0")
    keeper.ask(HITS)
    after = node.metric("vignette_worker_allocated_bytes_total", worker="0")
    assert before > 0
    assert after == before
