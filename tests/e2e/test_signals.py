"""Signals: reload without losing a request, refusal of a wrong file, drain, log rotation."""

import asyncio
import json
import signal
import ssl
import time
from pathlib import Path

import pytest

from support import config, places, tls
from support.client import Broken, Connection, Load, curl
from support.process import Child, wait_until
from support.vignette import Vignette


def setup_for(apps, marker="one", log='access = "access.log"'):
    headers = f'{{ set = {{ "X-Marker" = "{marker}" }} }}'
    return config.node(
        config.app_origin(apps), config.site(config.route("/*", origin='"app"', headers=headers)), log=log
    )


@pytest.fixture
def node(start_node, apps):
    return start_node(setup_for(apps[:2]))


def marker(node):
    return curl(node.url("/hello")).header("x-marker")


def test_a_reload_every_200_ms_under_load_fails_no_request(node, apps, eventually):
    load = Load(*node.http(), "/hello", clients=16, reconnect_every=20)
    markers = set()
    load.on_answer = lambda answer: markers.add(answer.header("x-marker"))

    async def scene():
        stop = asyncio.Event()
        running = asyncio.create_task(load.run(stop))
        for number in range(25):
            node.reload(setup_for(apps[:2], marker=f"m{number}"))
            await asyncio.sleep(0.2)
        stop.set()
        await running

    asyncio.run(scene())
    print(f"{load.requests} requests, {len(load.failures)} failed, {load.again} sent again by the client")
    assert load.failures == []
    assert load.again == 0, "a reload closes no connection"
    assert load.requests > 200
    assert len(markers) > 5, "reloads were applied while requests ran"
    eventually(lambda: marker(node) == "m24", 5, "the last configuration in force")


def test_reloads_under_tls_load_fail_no_handshake_and_a_wrong_key_changes_nothing(start_node, apps, tmp_path, eventually):
    chain, key = tls.make_certificate(tmp_path, "one.test")
    listener = '[[listener]]\naddress = "127.0.0.2:0"\ntls = true\n'
    certificate = f'[[certificate]]\nchain = "{chain}"\nkey = "{key}"\n'
    routes = config.site(config.route("/*", origin='"app"'))
    node = start_node(config.node(listener, certificate, config.app_origin(apps[:2]), routes))
    context = ssl.create_default_context(cafile=chain)
    answers = []

    async def client(stop):
        while not stop.is_set():
            streams = asyncio.open_connection(*node.https(), ssl=context, server_hostname="one.test")
            reader, writer = await asyncio.wait_for(streams, 20)
            writer.write(b"GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            answers.append(await asyncio.wait_for(reader.read(-1), 20))
            writer.close()

    async def scene():
        stop = asyncio.Event()
        clients = [asyncio.create_task(client(stop)) for _ in range(6)]
        for _ in range(15):
            node.reload()
            await asyncio.sleep(0.2)
        key.write_text("not a key")
        node.reload()
        await asyncio.sleep(0.5)
        stop.set()
        await asyncio.gather(*clients)

    asyncio.run(scene())
    print(f"{len(answers)} answers over new TLS connections")
    assert len(answers) > 50
    assert all(answer.startswith(b"HTTP/1.1 200 ") and b"hello from" in answer for answer in answers)
    node.log_contains("cannot use key")
    assert node.status()["generation"] > 10


def test_the_number_of_workers_and_listeners_survives_reloads(node, apps, eventually):
    for number in range(3):
        node.reload(setup_for(apps[:2], marker=f"again{number}"))
        eventually(lambda n=number: marker(node) == f"again{n}", 5, "the new configuration in force")
    assert curl(node.url("/hello")).status == 200


def test_a_wrong_file_changes_nothing_and_is_explained(node, apps, eventually):
    good = node.path.read_text()
    node.reload(good.replace("workers = 2", 'workers = 2\nwrokers = 3\nadmins = "x"'))
    node.log_contains("node.toml:")
    node.log_contains("wrokers")
    assert marker(node) == "one"
    assert node.child.running()
    node.reload(setup_for(apps[:2], marker="repaired"))
    eventually(lambda: marker(node) == "repaired", 5, "the repaired configuration in force")


def test_a_reload_warns_of_what_only_a_restart_applies(node, apps, eventually):
    text = setup_for(apps[:2], marker="again").replace("workers = 2", "workers = 3")
    node.reload(text.replace('memory = "256MiB"', 'memory = "128MiB"'))
    eventually(lambda: marker(node) == "again", 5, "the rest of the new configuration in force")
    node.log_contains("reload: server.workers has changed; only a restart applies it")
    node.log_contains("reload: cache.memory has changed; only a restart applies it")
    assert node.status()["workers"] == 2
    assert not any("log.access has changed" in line for line in node.child.lines)


def test_a_reload_makes_a_listener_redirect_to_https_and_serve_again(node, apps, eventually):
    plain = setup_for(apps[:2])
    node.reload(plain.replace('address = "127.0.0.1:0"', 'address = "127.0.0.1:0"\nredirect = "https:8443"'))
    eventually(lambda: curl(node.url("/hello")).status == 301, 5, "the redirect")
    assert curl(node.url("/hello")).header("location") == "https://127.0.0.1:8443/hello"
    node.reload(plain)
    eventually(lambda: curl(node.url("/hello")).status == 200, 5, "the site itself")


def test_sigterm_lets_a_slow_answer_finish_and_takes_no_new_connection(node, apps):
    host, port = node.http()

    async def scene():
        slow = Connection(host, port)
        answer = asyncio.create_task(slow.get("/slow?ms=2000"))
        while not any(server.counts().get("GET /slow") for server in apps[:2]):
            await asyncio.sleep(0.02)
        node.child.signal(signal.SIGTERM)
        refused = False
        deadline = time.monotonic() + 1.5
        while not refused and time.monotonic() < deadline:
            late = Connection(host, port)
            try:
                await late.get("/hello")
                await asyncio.sleep(0.02)
            except (Broken, OSError):
                refused = True
            late.close()
        return await answer, refused

    answer, refused = asyncio.run(scene())
    assert answer.status == 200 and answer.body == b"slow\n"
    assert refused
    assert node.child.wait(10) == 0


def test_sigterm_closes_idle_connections_at_once(node):
    async def scene():
        idle = Connection(*node.http())
        assert (await idle.get("/hello")).status == 200
        node.child.signal(signal.SIGTERM)
        assert await asyncio.wait_for(idle.reader.read(1), 5) == b""
        idle.close()

    asyncio.run(scene())
    assert node.child.wait(5) == 0


@pytest.mark.parametrize("drain, signals", [("30s", 2), ("100ms", 1)])
def test_an_end_that_cuts_requests_short_has_an_exit_code_of_its_own(apps, tmp_path, drain, signals):
    text = setup_for(apps[:1]) + f'[timeouts]\ndrain = "{drain}"\n'
    node = Vignette(tmp_path, text)
    try:

        async def scene():
            before = apps[0].counts().get("GET /slow", 0)
            slow = Connection(*node.http())
            answer = asyncio.create_task(slow.get("/slow?ms=20000"))
            while apps[0].counts().get("GET /slow", 0) == before:
                await asyncio.sleep(0.02)
            node.child.signal(signal.SIGTERM)
            node.log_contains("draining")
            if signals > 1:
                node.child.signal(signal.SIGINT)
            with pytest.raises((Broken, OSError)):
                await answer
            slow.close()

        asyncio.run(scene())
        assert node.child.wait(10) == 3
    finally:
        node.child.kill()


def holds_or_handles(pid, number):
    """Whether a signal would wait or be handled, not end the process."""
    text = Path(f"/proc/{pid}/status").read_text()
    masks = [int(line.split()[1], 16) for line in text.splitlines() if line.startswith(("SigBlk", "SigCgt"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


def test_a_reload_that_is_asked_for_before_the_node_is_ready_waits(apps, tmp_path):
    path = tmp_path / "node.toml"
    path.write_text(setup_for(apps[:1]))
    child = Child("vignette", [places.binary(), "serve", "-c", path], cwd=tmp_path)
    try:
        while not holds_or_handles(child.pid, signal.SIGHUP):
            assert child.running()
        child.signal(signal.SIGHUP)
        child.expect_line(r"vignette: ready")
        wait_until(lambda: any("configuration 2 is in use" in line for line in child.lines), 10, "the reload")
        assert child.stop(40) == 0
    finally:
        child.kill()


def test_sigusr1_reopens_the_access_log(node, eventually):
    log = node.directory / "access.log"
    curl(node.url("/hello?first"))
    eventually(lambda: log.exists() and "first" in log.read_text(), 5, "the first line")
    moved = node.directory / "access.log.1"
    log.rename(moved)
    node.child.signal(signal.SIGUSR1)
    eventually(log.exists, 5, "a new log file")
    curl(node.url("/hello?second"))
    eventually(lambda: "second" in log.read_text(), 5, "the second line")
    assert "second" not in moved.read_text()
    for line in moved.read_text().splitlines() + log.read_text().splitlines():
        entry = json.loads(line)
        assert entry["status"] == 200


def test_a_full_log_disk_never_stops_a_request(start_node, apps, eventually):
    node = start_node(setup_for(apps[:2], log='access = "/dev/full"'))
    for _ in range(50):
        assert curl(node.url("/hello")).status == 200
    eventually(lambda: node.metric("vignette_access_log_dropped_total") == 50, 5, "every lost line counted")
    node.log_contains("lines dropped")
    assert node.child.running()
