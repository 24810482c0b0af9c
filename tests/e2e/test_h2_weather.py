"""HTTP/2 as others speak it: curl, nghttp, h2load, python3-h2; many streams, large bodies."""

import random
import re
import socket
import subprocess
import threading

import h2.config
import h2.connection
import h2.events
import pytest

from support import config
from support.client import curl
from support.h2_client import *
from support.raw import RawOrigin

MIB = 1 << 20
BODY = random.Random(9113).randbytes(32 * MIB)
KEPT = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10000\r\n\r\n" + b"k" * 10_000


@pytest.fixture
def origin():
    server = RawOrigin()
    server.gate = threading.Event()
    server.script["/large"] = (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY, "keep")
    server.script["/kept"] = (KEPT, "keep")
    server.script["/slow"] = (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", lambda c: (server.gate.wait(20),
        c.sendall(b"slow")))
    yield server
    server.gate.set()
    server.stop()


@pytest.fixture
def node(start_node, origin, https_listener):
    routes = [config.route("/*", origin='"app"', max_body='"64MiB"')]
    return start_node(config.node(https_listener, config.app_origin([origin]), config.site(*routes)))


def at(path, fields=GET):
    return [*fields[:3], (":path", path)]


def url(node, path):
    return f"https://t.local:{node.https()[1]}{path}"


def by_curl(node, path, *arguments):
    host, port = node.https()
    return curl(url(node, path), "--http2", "-k", "--resolve", f"t.local:{port}:{host}", *arguments)


def test_curl_speaks_it_up_and_down(node, origin, tmp_path):
    answer = by_curl(node, "/a?b", "-w", "%{http_version}")
    assert answer.status == 200 and answer.body == b"GET /a?b 2"
    (tmp_path / "body").write_bytes(BODY)
    assert by_curl(node, "/large").body == BODY
    answer = by_curl(node, "/up", "--data-binary", f"@{tmp_path / 'body'}", "-o", str(tmp_path / "back"), "-D", "-")
    assert (tmp_path / "back").read_bytes().endswith(BODY)
    assert by_curl(node, "/a", "-I").body == b""
    assert by_curl(node, "/a", "-X", "DELETE").body == b"DELETE /a "
    assert not origin.unclean, origin.unclean


def test_nghttp_and_h2load_find_no_fault(node, origin):
    host, port = node.https()
    done = subprocess.run(["nghttp", "-nv", "-y", "-m", "20", f"https://{host}:{port}/kept"], capture_output=True,
        text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(":status: 200") == 20, done.stdout[-2000:]
    for path, body in (("/kept", []), ("/a", []), ("/up", ["-d", __file__])):
        done = subprocess.run(["h2load", "-n", "1000", "-c", "4", "-m", "50", *body, f"https://{host}:{port}{path}"],
                              capture_output=True, text=True, timeout=120)
        assert "1000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout + done.stderr
        assert re.search(r"status codes: 1000 2xx", done.stdout), done.stdout
    assert not origin.unclean, origin.unclean


def test_python_h2_sees_a_valid_stream_of_frames(node):
    plain = socket.create_connection(node.https(), timeout=20)
    sock = client_context().wrap_socket(plain, server_hostname="t.local")
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    bodies, ended = {}, set()
    for stream in range(1, 201, 2):
        connection.send_headers(stream, at("/kept" if stream % 4 == 1 else f"/{stream}"), end_stream=True)
    sock.sendall(connection.data_to_send())
    while len(ended) < 100:
        for event in connection.receive_data(sock.recv(65536)):
            if isinstance(event, h2.events.DataReceived):
                bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                ended.add(event.stream_id)
            assert not isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)), event
        sock.sendall(connection.data_to_send())
    for stream in range(1, 201, 2):
        assert bodies[stream] == (b"k" * 10_000 if stream % 4 == 1 else f"GET /{stream} ".encode())
    connection.close_connection()
    sock.sendall(connection.data_to_send())
    sock.close()


def test_large_bodies_go_both_ways_at_once_within_their_windows(node, origin):
    """32 MiB up beside 32 MiB down on one connection, as far as the windows let either."""
    with H2Client(node.https()) as client:
        window = {0: 65535, 3: client.settings.get(INITIAL_WINDOW_SIZE, 65535)}
        client.send(client.head(1, at("/large")), client.head(3, at("/up", POST), end=False))
        sent = 0
        while sent < len(BODY):
            room = min(window[0] + client.updates.get(0, 0), window[3] + client.updates.get(3, 0)) - sent
            if room <= 0:
                before = dict(client.updates)
                assert client.until(lambda: client.updates != before), f"stuck at {sent}"
                continue
            piece = BODY[sent : sent + min(room, 16384)]
            sent += len(piece)
            client.send(data(3, piece, end=sent == len(BODY)))
            client.take_what_is_there()
        assert client.answer(3).body == b"POST /up " + BODY
        assert client.answer(1).body == BODY
        assert client.alive()


def test_the_slowest_stream_holds_up_no_other(node, origin):
    with H2Client(node.https(), (INITIAL_WINDOW_SIZE, 65535), grow=False) as client:
        client.send(window_update(0, 2**30))
        client.send(client.head(1, at("/large")), client.head(3, at("/slow")))
        assert client.until(lambda: len(client.stream(1).body) == 65535)
        for stream in range(5, 205, 2):
            assert client.ask(stream, at("/kept")).body == b"k" * 10_000
        origin.gate.set()
        assert client.answer(3).body == b"slow"
        assert not client.stream(1).over
