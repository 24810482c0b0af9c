"""App servers behind the node: balanced, health-checked, and lost without anybody noticing."""

import asyncio
import collections
import json
import os
import socket
import threading
import time

import pytest

from support import config
from support.apps import AppServer
from support.client import Connection, Load, curl, gather

INTERVAL, TIMEOUT, FALL, RISE = 1.0, 1.0, 3, 2
HEALTH = (
    f'path = "/healthz", interval = "{INTERVAL * 1000:.0f}ms", timeout = "{TIMEOUT * 1000:.0f}ms", '
    f"fall = {FALL}, rise = {RISE}"
)


@pytest.fixture
def node(start_node, apps, eventually):
    setup = config.node(
        config.app_origin(apps, health=HEALTH), config.site(config.route("/*", origin='"app"', max_body='"64MiB"'))
    )
    started = start_node(setup)
    eventually(lambda: curl(started.url("/hello")).status == 200, 10, "the first good probes")
    eventually(lambda: len(servers_of(started, 12)) == 3, 10, "all three servers in rotation")
    return started


def servers_of(node, count):
    async def ask():
        connection = Connection(*node.http())
        names = [(await connection.get("/hello")).header("x-server") for _ in range(count)]
        connection.close()
        return names

    return collections.Counter(gather(ask())[0])


def test_requests_go_round_all_three_servers_evenly(node):
    counts = servers_of(node, 90)
    assert set(counts) == {"app1", "app2", "app3"}
    assert max(counts.values()) - min(counts.values()) <= 2, counts


def test_the_app_sees_the_client_and_not_its_claims(node):
    answer = curl(
        node.url("/headers?a=1&b=%20x"), "-H", "Host: shop.example", "-H", "X-Forwarded-For: 6.6.6.6", "-H",
        "X-Forwarded-Proto: https", "-H", "Connection: close, X-Private", "-H", "X-Private: secret", "-H", "X_Under: 1"
    )
    seen = json.loads(answer.body)
    fields = {name.lower(): value for name, value in seen["headers"].items()}
    assert seen["path"] == "/headers?a=1&b=%20x"
    assert fields["host"] == "shop.example"
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "http"
    assert "via" in fields
    assert "x-private" not in fields and "x-under" not in fields


def test_cookies_pass_and_are_never_stored(node):
    first, second = curl(node.url("/cookie"), "-b", "a=1"), curl(node.url("/cookie"), "-b", "a=2")
    assert json.loads(first.body) == {"a": "1"} and json.loads(second.body) == {"a": "2"}
    assert first.header("set-cookie") and second.header("set-cookie")


def test_explicitly_cacheable_answers_are_kept_and_others_are_not(node):
    first, second = curl(node.url("/fresh?age=60")), curl(node.url("/fresh?age=60"))
    assert first.body == second.body and "; hit" in second.cache_status
    assert "; hit" not in curl(node.url("/hello")).cache_status
    assert "; hit" not in curl(node.url("/hello")).cache_status


def test_statuses_of_the_app_pass_through(node):
    for status in (204, 301, 404, 418, 500):
        assert curl(node.url(f"/status/{status}")).status == status


def test_uploads_arrive_whole_by_length_and_by_chunks(node, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(range(256)) * 40_000)
    for arguments in (["-T", upload], ["-T", upload, "-H", "Transfer-Encoding: chunked"], ["--data-binary", f"@{upload}"]):
        seen = json.loads(curl(node.url("/echo"), *arguments).body)
        assert seen["bytes"] == 10_240_000, arguments
    answer = curl(node.url("/echo"), "-X", "PUT", "-H", "Content-Length: 70000000", "-H", "Expect:")
    assert answer.status == 413


class Decoy:
    """Takes the address of a dead server: answers nothing, and counts what is still sent to it."""

    def __init__(self, address):
        self.arrivals = []  # (monotonic seconds, path)
        if address.startswith("unix:"):
            path = address.removeprefix("unix:")
            os.unlink(path)  # what the dead server left
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
        else:
            host, port = address.split(":")
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((host, int(port)))
        self.listener.listen(128)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    line = connection.recv(4096).split(b"\r\n")[0].decode()
                except OSError:
                    continue
                if line:
                    self.arrivals.append((time.monotonic(), line.split(" ")[1]))

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@pytest.mark.parametrize("number", [1, 2], ids=["tcp", "unix"])
def test_a_killed_server_costs_no_request_leaves_the_rotation_and_comes_back(node, apps, number):
    victim = apps[number]
    load = Load(*node.http(), "/hello", clients=12)
    seen = []  # (monotonic seconds, server, good probes of its process by then)
    load.on_answer = lambda answer: seen.append(
        (time.monotonic(), answer.header("x-server"), int(answer.header("x-probes") or 0))
    )

    def last_answer_of_the_victim():
        return max((when for when, name, _ in seen if name == victim.name), default=0)

    async def scene():
        stop = asyncio.Event()
        running = asyncio.create_task(load.run(stop))
        while load.requests < 200 or not last_answer_of_the_victim():
            await asyncio.sleep(0.01)
        await asyncio.to_thread(victim.kill)
        killed = time.monotonic()
        decoy = Decoy(victim.bind)
        out_by = killed + FALL * INTERVAL + TIMEOUT
        while time.monotonic() < out_by + 2:
            await asyncio.sleep(0.05)
        decoy.close()
        seen.clear()
        await asyncio.to_thread(victim.start)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not last_answer_of_the_victim():
            await asyncio.sleep(0.05)
        stop.set()
        await running
        return decoy.arrivals, out_by

    arrivals, out_by = asyncio.run(scene())
    print(f"{load.requests} requests, {len(load.failures)} failed, {load.again} sent again by the client")
    assert load.failures == []
    assert load.again == 0, "no client's connection is closed for a server that died"
    assert load.requests > 300
    late = [path for when, path in arrivals if when > out_by and path != "/healthz"]
    assert late == [], "requests to a server that should be out of rotation"
    assert any(path == "/healthz" for when, path in arrivals if when > out_by), "a server that is out is still probed"
    back = [probes for _, name, probes in seen if name == victim.name]
    assert back, "the server did not come back"
    assert min(back) >= RISE, "it was back before two good probes"


def test_all_servers_down_is_an_answer_and_ends_when_one_is_back(start_node, eventually, tmp_path):
    lonely = AppServer("lonely").start()
    try:
        node = start_node(
            config.node(config.app_origin([lonely], health=HEALTH), config.site(config.route("/*", origin='"app"')))
        )
        eventually(lambda: curl(node.url("/hello")).status == 200, 10, "the first good probe")
        lonely.kill()
        eventually(lambda: curl(node.url("/hello")).status == 503, 10, "503 when no server is up")
        lonely.start()
        eventually(lambda: curl(node.url("/hello")).status == 200, 20, "200 when it is back")
    finally:
        lonely.stop()


def test_an_upload_is_never_sent_twice_when_its_server_dies(start_node, eventually, tmp_path):
    first, second = AppServer("first").start(), AppServer("second").start()
    try:
        node = start_node(
            config.node(config.app_origin([first, second]), config.site(config.route("/*", origin='"app"')))
        )

        async def post():
            reader, writer = await asyncio.open_connection(*node.http())
            writer.write(b"POST /slow?ms=30000 HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)
            writer.close()
            return head

        async def scene():
            answer = asyncio.create_task(post())
            busy = None
            while busy is None:
                for server in (first, second):
                    if (await asyncio.to_thread(server.counts)).get("POST /slow"):
                        busy = server
                await asyncio.sleep(0.02)
            await asyncio.to_thread(busy.kill)
            return await answer, busy

        head, busy = asyncio.run(scene())
        assert head.split()[1] == b"502", head
        other = second if busy is first else first
        assert other.counts().get("POST /slow", 0) == 0
    finally:
        first.stop()
        second.stop()
