"""Connections that misbehave in time rather than in bytes: slow, half-closed, reset, pipelined, idle."""

import os
import time

import pytest

from support import config
from support.raw import Ended, RawClient, RawOrigin

HOST = b"Host: t.local\r\n"
GET = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
BIG = 8 << 20


@pytest.fixture
def origin():
    server = RawOrigin()
    server.script["/big"] = (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG + b"x" * BIG, "keep")
    server.script["/kept"] = (
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n" % BIG + b"x" * BIG, "keep")
    yield server
    server.stop()


@pytest.fixture
def node(start_node, origin):
    times = '[timeouts]\nheader = "1s"\nbody_stall = "600ms"\nsend_stall = "500ms"\nkeep_alive = "600ms"\n'
    return start_node(config.node(times, config.app_origin([origin]), config.site(config.route("/*", origin='"app"'))))


def post(path, length):
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % length


def test_a_head_in_single_bytes_is_answered_and_one_that_drips_too_long_is_not(node, origin):
    with RawClient(node.http()) as client:
        for at in range(len(GET)):
            client.send(GET[at : at + 1])
        assert client.reply().status == 200
    with RawClient(node.http()) as client:
        begun = time.monotonic()
        for at in range(len(GET) - 1):
            client.send(GET[at : at + 1])
            time.sleep(0.05)
            if time.monotonic() - begun > 1.6:
                break
        assert client.reply().status == 408
        assert client.at_end()
    assert origin.targets() == ["/a"]


@pytest.mark.parametrize("begin", [post(b"/a", 10) + b"hello",
                         b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"])
def test_a_body_that_stalls_is_408_and_one_that_breaks_off_is_nobodys_request(node, origin, begin):
    with RawClient(node.http()) as client:
        client.send(begin)
        assert client.reply().status == 408
        assert client.at_end()
    for breaks_off in ("fin", "reset"):
        client = RawClient(node.http())
        client.send(begin)
        time.sleep(0.05)
        if breaks_off == "reset":
            client.reset()
        else:
            client.sock.shutdown(1)
            reply = client.reply()
            assert reply is None or reply.status == 400
            assert client.at_end()
    assert origin.seen == []
    with RawClient(node.http()) as client:
        client.send(GET)
        assert client.reply().body == b"GET /a "


def test_a_client_that_has_sent_its_end_gets_its_answers(node):
    with RawClient(node.http()) as client:
        client.send(GET * 3 + post(b"/a", 2) + b"hi")
        client.sock.shutdown(1)
        assert [client.reply().body for _ in range(4)] == [b"GET /a "] * 3 + [b"POST /a hi"]
        assert client.at_end()


def test_a_hundred_requests_at_once_are_answered_in_order(node):
    with RawClient(node.http()) as client:
        kinds = [b"GET /%d HTTP/1.1\r\n" + HOST + b"\r\n",
                 b"POST /%d HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"]
        client.send(b"".join(kinds[n % 2] % n for n in range(100)))
        for n in range(100):
            assert client.reply().body == (b"POST /%d abc" if n % 2 else b"GET /%d ") % n
        client.send(GET + b"GET /late HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n" + GET)
        assert [client.reply().status, client.reply().status] == [200, 400]
        assert client.at_end()


def test_100_continue_is_said_once_and_not_when_the_answer_is_known(node):
    head = b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with RawClient(node.http()) as client:
        client.send(head)
        assert client.reader.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        client.send(b"hi" + GET)
        assert client.reply().body == b"POST /a hi"
        assert client.reply().body == b"GET /a "
    with RawClient(node.http()) as client:
        client.send(head.replace(b": 2", b": 99999999"))
        assert client.reader.until(b"\r\n").startswith(b"HTTP/1.1 413 ")
    with RawClient(node.http()) as client:
        client.send(head)
        assert client.reader.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        assert client.reply().status == 408  # the body never came


def test_an_idle_connection_is_closed_without_a_word_and_an_unread_answer_is_given_up(node):
    with RawClient(node.http()) as idle, RawClient(node.http()) as used, RawClient(node.http()) as deaf:
        used.send(GET)
        assert used.reply().status == 200
        deaf.send(b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n")
        assert used.at_end()
        assert idle.at_end()
        time.sleep(1.0)
        with pytest.raises((Ended, ConnectionResetError)):
            deaf.reader.exactly(BIG + 200)


def test_clients_that_reset_in_the_middle_leave_nothing_behind(node, eventually):
    def burst(count):
        for number in range(count):
            client = RawClient(node.http())
            client.send((GET, b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /kept HTTP/1.1\r\n" + HOST + b"\r\n",
                        GET[:20],
                         post(b"/a", 100) + b"x" * 50, GET * 30)[number % 6])
            if number % 12 == 0:
                client.sock.recv(1)
            client.reset()

    burst(30)
    before = len(os.listdir(f"/proc/{node.pid}/fd"))
    burst(120)
    eventually(lambda: len(os.listdir(f"/proc/{node.pid}/fd")) <= before + 4, 5, "the descriptors are back")
    eventually(lambda: node.metric("vignette_connections_open") <= 1, 5, "no connection is left")
    with RawClient(node.http()) as client:
        client.send(b"GET /kept HTTP/1.1\r\n" + HOST + b"\r\n" + GET)
        assert client.reply().body == b"x" * BIG
        assert client.reply().body == b"GET /a "
