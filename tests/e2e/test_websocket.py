"""npm's ws as server and client: what they say to each other through the node."""

import json
import signal
import subprocess
import time

import pytest

from support import config, places, tls
from support.client import curl
from support.process import Child

NEIGHBOURS = places.E2E / "neighbours"
PROTOCOL = "echo.test"


@pytest.fixture
def echo_server():
    command = [places.node_program(), NEIGHBOURS / "websocket_server.cjs", places.NODE_MODULES, PROTOCOL]
    child = Child("ws", command)
    child.bind = child.expect_line(r"ws: listening on (\S+)")[1]
    yield child
    child.kill()


def websocket_node(echo_server, *parts, websocket="true"):
    return config.node(
        *parts, config.app_origin([echo_server]), config.site(config.route("/*", origin='"app"', websocket=websocket))
    )


def client(url, task, *options):
    command = [places.node_program(), NEIGHBOURS / "websocket_client.cjs", places.NODE_MODULES, url, task, *options]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def url_of(address, scheme="ws"):
    host, port = address
    return f"{scheme}://{host}:{port}/chat"


@pytest.mark.parametrize("options", [[], ["deflate"]])
def test_messages_of_all_sizes_come_back_as_they_were(start_node, echo_server, options):
    node = start_node(websocket_node(echo_server))
    seen = client(url_of(node.http()), "messages", *options)
    assert seen["good"] == [True] * 9, seen
    assert (seen["protocol"], seen["code"], seen["reason"]) == (PROTOCOL, 4001, "enough")
    assert seen["extensions"] == ("permessage-deflate" if options else "")
    echo_server.expect_line(r"ws: from 127\.0\.0\.1$")
    echo_server.expect_line(r"ws: closed 4001 enough")
    assert node.metric("vignette_tunnels_total") == 1


def test_over_tls(start_node, echo_server, tmp_path):
    chain, key = tls.make_certificate(tmp_path, "one.test")
    listener = '[[listener]]\naddress = "127.0.0.2:0"\ntls = true\n'
    node = start_node(websocket_node(echo_server, listener, f'[[certificate]]\nchain = "{chain}"\nkey = "{key}"\n'))
    seen = client(url_of(node.https(), "wss"), "messages")
    assert seen["good"] == [True] * 9, seen
    assert seen["code"] == 4001


def test_two_hundred_at_once(start_node, echo_server, eventually):
    node = start_node(websocket_node(echo_server))
    seen = client(url_of(node.http()), "many")
    assert seen == {"connections": 200, "good": 200}
    eventually(lambda: node.metric("vignette_tunnels_open") == 0, 10, "no tunnel left open")
    assert node.metric("vignette_tunnels_ended_total", reason="closed") == 200


def test_a_client_that_does_not_read_for_a_while_loses_nothing(start_node, echo_server):
    node = start_node(websocket_node(echo_server))
    assert client(url_of(node.http()), "flood") == {"good": 64}


def test_an_idle_connection_is_closed_after_timeouts_tunnel(start_node, echo_server):
    node = start_node(websocket_node(echo_server, '[timeouts]\ntunnel = "1s"\n'))
    seen = client(url_of(node.http()), "idle")
    assert seen["code"] == 1006, seen  # no close frame: the proxy knows nothing of frames
    assert 0.9 <= seen["seconds"] < 20
    assert node.metric("vignette_tunnels_ended_total", reason="tunnel_idle") == 1


def test_a_route_that_does_not_allow_it_gives_the_servers_own_refusal(start_node, echo_server):
    node = start_node(websocket_node(echo_server, websocket="false"))
    assert client(url_of(node.http()), "refused") == {"error": "status 426"}
    assert curl(node.url("/chat")).status == 426


def test_a_drain_waits_for_its_time_and_then_closes(start_node, echo_server, eventually):
    node = start_node(websocket_node(echo_server, '[timeouts]\ndrain = "2s"\n'))
    command = [places.node_program(), NEIGHBOURS / "websocket_client.cjs", places.NODE_MODULES, url_of(node.http()), "idle"]
    waiting = Child("client", command)
    eventually(lambda: node.metric("vignette_tunnels_open") == 1, 20, "the tunnel is open")
    started = time.monotonic()
    node.child.signal(signal.SIGTERM)
    seen = json.loads(waiting.expect_line(r"^\{.*\}$")[0])
    assert seen["code"] == 1006
    assert time.monotonic() - started >= 1.9
    assert node.child.wait(20) == 3  # it was not in order for all
