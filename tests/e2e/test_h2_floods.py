"""What an HTTP/2 client can send in bulk for next to nothing, and what it can leave lying about: each ends the client's
connection or costs a bounded amount, and everybody else is served all the while."""

import itertools
import struct
import threading

import pytest

from support import config
from support.h2_client import *
from support.process import RssWatch
from support.raw import RawOrigin

MIB = 1 << 20
BODY = 4 * MIB


@pytest.fixture
def origin():
    server = RawOrigin()
    server.gate = threading.Event()
    server.script["/big"] = (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY + b"x" * BODY, "keep")
    server.script["/slow"] = (b"", lambda _: server.gate.wait(20))
    yield server
    server.gate.set()
    server.stop()


@pytest.fixture
def node(start_node, origin, https_listener):
    routes = [config.route("/*", origin='"app"', cache='"off"')]
    return start_node(config.node(https_listener, config.app_origin([origin]), config.site(*routes), memory="16MiB"))


def streams(count=None):
    return itertools.islice(itertools.count(1, 2), count)


def at(path, fields=GET):
    return [*fields[:3], (":path", path)]


def flood(node, frames, rounds=400):
    """Sends what frames(client, n) gives until the connection ends; the code of its GOAWAY, or "alive"."""
    with H2Client(node.https(), grow=False) as client:
        for number in range(rounds):
            client.send(*frames(client, number))
            client.take_what_is_there()
            if client.goaway or client.closed:
                client.until(lambda: client.closed)
                return client.goaway and client.goaway[1]
        return "alive" if client.alive() else client.goaway and client.goaway[1]


def twenty(make):
    """Frames of the next twenty streams."""
    return lambda c, n: [part for stream in range(40 * n + 1, 40 * n + 41, 2) for part in make(c, stream)]


def never_ending_head(c, n):
    if n == 0:
        return [frame(HEADERS, END_STREAM, 1, c.encoder.encode(GET))]
    return [frame(CONTINUATION, 0, 1, b"\x00\x01x\x01y" * 100)] * 5


FLOODS = {
    "requests that are reset at once": twenty(lambda c, s: [c.head(s, at("/slow")), reset(s)]),
    "requests that make us reset them, by a window of nothing": twenty(lambda c, s: [c.head(s, at("/slow")),
        window_update(s, 0)]),
    "requests that make us reset them, by windows too large": twenty(
        lambda c, s: [c.head(s, at("/slow")), window_update(s, 2**31 - 1)]),
    "malformed requests": twenty(lambda c, s: [c.head(s, [*GET, ("te", "x")])]),
    "DATA behind the end": twenty(lambda c, s: [c.head(s, at("/slow")), data(s, b"x")]),
    "PING": lambda c, n: [ping()] * 100,
    "SETTINGS": lambda c, n: [settings()] * 100,
    "SETTINGS that change the table": lambda c, n: [settings((HEADER_TABLE_SIZE, n % 2 * 4096))] * 100,
    "ACKs of SETTINGS": lambda c, n: [frame(SETTINGS, ACK)] * 100,
    "PRIORITY": lambda c, n: [priority(2 * n + 1, 0)] * 100,
    "PRIORITY_UPDATE": lambda c, n: [frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", 2 * n + 1) + b"u=1")] * 100,
    "empty DATA": lambda c, n: ([c.head(1, POST, end=False)] if n == 0 else []) + [data(1, end=False)] * 100,
    "DATA of padding": lambda c, n: ([c.head(1, POST, end=False)] if n == 0 else []) + [
        data(1, b"\x00", end=False, flags=PADDED)] * 100,
    "CONTINUATION": never_ending_head,
    "empty CONTINUATION": lambda c, n: [frame(HEADERS, END_STREAM, 1)] * (n == 0) + [frame(CONTINUATION, 0, 1)] * 100,
    "unknown frames": lambda c, n: [frame(0xFA, 0, 0, b"x")] * 100,
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_ends_its_connection(node, origin, kind):
    with RssWatch(node.pid) as memory:
        code = flood(node, FLOODS[kind])
    assert code in (ENHANCE_YOUR_CALM, PROTOCOL_ERROR, STREAM_CLOSED, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR), code
    assert memory.growth() < 24 * MIB, memory.growth()
    assert len(origin.seen) <= 300
    with H2Client(node.https()) as other:
        assert other.ask(1).status == 200
    assert not origin.unclean, origin.unclean


def test_windows_may_grow_byte_by_byte(node):
    # Slow, but what a reader of little memory does: no flood.
    with H2Client(node.https(), (INITIAL_WINDOW_SIZE, 0), grow=False) as client:
        client.send(client.head(1))
        for _ in range(7):
            client.send(window_update(1, 1))
        assert client.answer(1).body == b"GET /a "


def test_header_bombs_are_refused(node, origin):
    with RssWatch(node.pid) as memory:
        # A field of the table again and again: 2 KiB on the wire, 8 MiB of fields.
        for count in (10, 2000):
            with H2Client(node.https()) as client:
                bomb = b"\x82\x84\x87\x41\x07t.local" + b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000 + b"\xbe" * count
                client.send(client.head(1, bomb))
                answer = client.answer(1)
                refused = answer.status == 431 or answer.reset is not None or client.goaway is not None
                assert refused, (answer, client.goaway)
        # Too many, too long, and a name and a value of all that one frame holds.
        for fields in ([("x", "y")] * 101, [(f"x{n}", "y" * 3000) for n in range(12)], [("n" * 9000, "y")], [("x",
            "y" * 16000)] * 3):
            with H2Client(node.https()) as client:
                client.send(*in_frames(client, [*GET, *fields]))
                answer = client.answer(1)
                refused = answer.status == 431 or answer.reset is not None or client.goaway is not None
                large = sum(len(name) + len(value) for name, value in fields) > 32768 or len(fields) > 100
                assert refused == large, (answer, client.goaway)
    assert memory.growth() < 16 * MIB, memory.growth()
    assert not origin.unclean, origin.unclean


def in_frames(client, fields):
    text = client.encoder.encode(fields)
    parts = [text[n : n + 16000] for n in range(0, len(text), 16000)]
    more = [frame(CONTINUATION, 0, 1, part) for part in parts[1:-1]]
    last = [frame(CONTINUATION, END_HEADERS, 1, part) for part in parts[1:][-1:]]
    return [frame(HEADERS, END_STREAM | (0 if last else END_HEADERS), 1, parts[0]), *more, *last]


def test_as_many_streams_as_it_says_and_no_more(node, origin):
    with H2Client(node.https()) as client:
        allowed = client.settings[MAX_CONCURRENT_STREAMS]
        assert 100 <= allowed <= 256
        for first in (1, 2 * allowed + 1):  # ended streams make room for others
            numbers = range(first, first + 2 * allowed, 2)
            client.send(*[client.head(s, POST, end=False) for s in numbers])
            assert client.alive()
            client.send(*[data(s, b"hi") for s in numbers])
            assert [client.answer(s).body for s in numbers] == [b"POST /a hi"] * allowed
    assert len(origin.seen) == 2 * allowed
    # One more is an error of that stream, or of the whole connection (RFC 9113 sections 5.1.2 and 5.4.1).
    with H2Client(node.https()) as client:
        client.send(*[client.head(s, POST, end=False) for s in range(1, 2 * allowed + 2, 2)])
        last = client.answer(2 * allowed + 1)
        assert last.reset in (REFUSED_STREAM, PROTOCOL_ERROR) or client.goaway[1] == PROTOCOL_ERROR, last
    assert len(origin.seen) == 2 * allowed


def test_a_reader_whose_windows_stay_shut_holds_little(node, origin, eventually):
    """64 answers of 4 MiB that nobody takes: what waits in the node is bounded by windows of its own."""
    for pairs, own in ([(INITIAL_WINDOW_SIZE, 0)], 0), ([], 65535):
        with RssWatch(node.pid) as memory, H2Client(node.https(), *pairs, grow=False) as client:
            client.send(*[client.head(s, at("/big")) for s in streams(64)])
            assert client.until(lambda: all(client.stream(s).heads for s in streams(64)))
            assert client.alive()
            taken = sum(len(client.stream(s).body) for s in streams(64))
            assert taken == own  # the connection's window, all of it
        assert memory.growth() < 48 * MIB, memory.growth()
    eventually(lambda: node.metric("vignette_connections_open") <= 1, 10, "no connection is left")
    with H2Client(node.https()) as client:
        assert client.ask(1, at("/big")).body == b"x" * BODY


def test_a_sender_of_more_than_its_window_is_stopped(node, origin):
    with H2Client(node.https()) as client:
        window = client.settings.get(INITIAL_WINDOW_SIZE, 65535)
        client.send(client.head(1, at("/slow", POST), end=False))
        client.send(*[data(1, b"x" * 16384, end=False)] * (window // 16384 + 200))
        answer = client.answer(1)
        assert FLOW_CONTROL_ERROR in (answer.reset, client.goaway and client.goaway[1]) or answer.status, answer


def test_clients_that_vanish_leave_nothing_behind(node, origin, eventually):
    for number in range(60):
        client = H2Client(node.https(), grow=False)
        client.send(*[client.head(s, at(("/big", "/slow", "/a")[number % 3])) for s in streams(5)])
        client.send(client.head(11, POST, end=False), data(11, b"half", end=False))
        client.sock.close()
    origin.gate.set()
    eventually(lambda: node.metric("vignette_connections_open") <= 1, 10, "no connection is left")
    with H2Client(node.https()) as client:
        assert client.ask(1).status == 200
    assert not origin.unclean, origin.unclean
