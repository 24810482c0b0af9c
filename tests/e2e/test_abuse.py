"""Attacks with real programs against the real node: what they get, and that others are served meanwhile."""

import asyncio
import socket
import subprocess
import threading

from support import config, tls
from support.client import Connection, curl


def app_node(apps, *parts, route="", **options):
    served = config.site(config.route("/*", origin='"app"') + route)
    return config.node(*parts, config.app_origin(apps[:2]), served, **options)


def tls_parts(tmp_path):
    chain, key = tls.make_certificate(tmp_path, "one.test")
    listener = '[[listener]]\naddress = "127.0.0.2:0"\ntls = true\n'
    return listener, f'[[certificate]]\nchain = "{chain}"\nkey = "{key}"\n'


def test_a_client_may_not_renegotiate(start_node, apps, tmp_path):
    node = start_node(app_node(apps, *tls_parts(tmp_path)))
    host, port = node.https()
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_2"]
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watchdog = threading.Timer(20, client.kill)
    watchdog.start()
    client.stdin.write(b"R\n")  # s_client's command for it
    client.stdin.flush()
    text = client.stdout.read().decode("utf-8", "replace")  # until it gives up, as it must
    watchdog.cancel()
    client.stdin.close()
    client.wait()
    assert "RENEGOTIATING" in text, text
    assert "no renegotiation" in text, text
    seen = tls.Handshake(node.https(), "-tls1_2")
    assert seen.ok and "Secure Renegotiation IS supported" in seen.text, seen.text


def test_connections_of_one_client_are_limited_over_all_workers(start_node, apps, eventually):
    node = start_node(app_node(apps, "[limits]\nconnections_per_client = 20\n", workers=2))
    request = b"GET /hello HTTP/1.1\r\nHost: t\r\n\r\n"
    held, closed = [], 0
    for _ in range(60):
        sock = socket.create_connection(node.http(), timeout=10)
        try:
            sock.sendall(request)
            answer = sock.recv(65536)
        except ConnectionError:
            answer = b""
        if answer.startswith(b"HTTP/1.1 200 "):
            held.append(sock)
        else:
            assert answer == b""
            sock.close()
            closed += 1
    assert (len(held), closed) == (20, 40)
    assert node.metric("vignette_connections_refused_total", reason="too_many_of_client") == 40
    # From another address everything is as ever.
    assert curl(node.url("/hello"), "--interface", "127.0.0.77").status == 200
    for sock in held:
        sock.close()
    eventually(lambda: node.metric("vignette_connections_open") == 0, 10, "all have left")
    assert curl(node.url("/hello")).status == 200


def test_a_rate_holds_for_all_connections_and_workers_of_a_client_together(start_node, apps):
    limit = 'rate_limit = { requests = 50, per = "1h" }\n'
    node = start_node(app_node(apps, route=limit, workers=2))

    async def hammer():
        host, port = node.http()
        connections = [Connection(host, port) for _ in range(10)]
        statuses = []

        async def one(connection):
            for _ in range(10):
                answer = await connection.get("/hello")
                statuses.append(answer.status)
                if answer.status == 429:
                    assert 0 < int(answer.header("retry-after")) <= 72
            connection.close()

        await asyncio.gather(*(one(connection) for connection in connections))
        return statuses

    statuses = asyncio.run(hammer())
    assert (statuses.count(200), statuses.count(429)) == (50, 50)
    assert curl(node.url("/hello"), "--interface", "127.0.0.77").status == 200


def test_without_limits_one_client_gets_all_it_asks_for(start_node, apps):
    node = start_node(app_node(apps))

    async def many():
        host, port = node.http()
        connections = [Connection(host, port) for _ in range(300)]
        answers = await asyncio.gather(*(connection.get("/hello") for connection in connections))
        for connection in connections:
            connection.close()
        return [answer.status for answer in answers]

    assert asyncio.run(many()) == [200] * 300
