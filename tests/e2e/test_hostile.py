"""What clients, operators and machines do to a node that nobody planned for."""

import asyncio
import os
import pwd
import resource
import signal
import socket
import struct
import subprocess
import time

import pytest

from support import config, places, tls
from support.apps import free_port
from support.client import Broken, Connection, curl
from support.process import Child, cpu_ticks, wait_until

CAP_NET_BIND_SERVICE = 10  # capabilities(7)
SHORT_TIMEOUTS = '[timeouts]\nheader = "1s"\nbody_stall = "1s"\n'


def plain_node(apps, *parts, **options):
    return config.node(config.app_origin(apps[:2]), *parts, config.site(config.route("/*", origin='"app"')), **options)


def exchange(address, data, seconds=10):
    """What comes back for these bytes until the node closes."""
    with socket.create_connection(address, timeout=seconds) as sock:
        sock.sendall(data)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return answer


def refused_start(tmp_path, text, environment=None):
    """The output of a node that must not start."""
    path = tmp_path / "refused.toml"
    path.write_text(text)
    command = [places.binary(), "serve", "-c", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert done.returncode == 1, done
    assert "ready" not in done.stdout
    return done.stderr


def test_slow_heads_and_bodies_are_answered_408_and_silence_is_closed(start_node, apps):
    node = start_node(plain_node(apps, SHORT_TIMEOUTS))
    started = time.monotonic()
    assert exchange(node.http(), b"GET / HTTP/1.1\r\nHo").startswith(b"HTTP/1.1 408 ")
    assert exchange(node.http(), b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n12").startswith(b"HTTP/1.1 408 ")
    assert exchange(node.http(), b"") == b""
    assert time.monotonic() - started < 9
    with socket.create_connection(node.http(), timeout=10) as sock:
        # A byte now and then does not keep a head alive.
        with pytest.raises(OSError):
            deadline = time.monotonic() + 8
            for byte in b"GET / HTTP/1.1\r\nHost: t\r\nX-Slow: " + b"a" * 1000:
                assert time.monotonic() < deadline, "a dripping head was never refused"
                sock.sendall(bytes([byte]))
                time.sleep(0.1)


def test_a_thousand_resets_leave_no_connection_behind(start_node, apps, eventually):
    node = start_node(plain_node(apps))
    request = b"GET /hello HTTP/1.1\r\nHost: t\r\n\r\n"
    for number in range(1000):
        with socket.create_connection(node.http()) as sock:
            sock.sendall(request[: number % len(request)])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    eventually(lambda: node.status()["connections"]["open"] == 0, 5, "all connections gone before their time-out")
    assert curl(node.url("/hello")).status == 200


def test_out_of_descriptors_the_node_waits_and_recovers(start_node, apps, eventually):
    node = start_node(plain_node(apps, workers=1))
    assert curl(node.url("/hello")).status == 200
    used = len(os.listdir(f"/proc/{node.pid}/fd"))
    resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
    crowd = [socket.create_connection(node.http(), timeout=10) for _ in range(60)]
    eventually(lambda: len(os.listdir(f"/proc/{node.pid}/fd")) >= used + 20, 5, "no descriptor left")
    before = cpu_ticks(node.pid)
    time.sleep(1)
    assert cpu_ticks(node.pid) - before < 50, "it spins while it waits"
    for sock in crowd:
        sock.close()
    eventually(lambda: curl(node.url("/hello")).status == 200, 10, "an answer once descriptors are free")
    assert node.metric("vignette_accept_exhausted_total") > 0


def test_an_address_where_somebody_listens_is_refused_even_when_it_could_be_shared(start_node, apps, tmp_path):
    node = start_node(plain_node(apps))
    host, port = node.http()
    second = plain_node(apps).replace('address = "127.0.0.1:0"', f'address = "{host}:{port}"')
    assert "Address already in use" in refused_start(tmp_path, second)
    for _ in range(20):
        assert curl(node.url("/hello")).status == 200


def test_a_log_that_cannot_be_opened_stops_the_start_with_the_reason(apps, tmp_path):
    assert "No such file" in refused_start(tmp_path, plain_node(apps, log='access = "/nonexistent/access.log"'))
    assert "directory" in refused_start(tmp_path, plain_node(apps, log='access = "/tmp"'))


@pytest.mark.parametrize("name", ["nobody"])
def test_root_is_given_up_after_binding(start_node, apps, tmp_path, eventually, name):
    user = pwd.getpwnam(name)
    if os.geteuid() != 0:
        text = plain_node(apps, server='user = "root"')
        assert "cannot become user" in refused_start(tmp_path, text)
        return
    node = start_node(plain_node(apps, server=f'user = "{name}"'))
    for task in os.listdir(f"/proc/{node.pid}/task"):
        lines = open(f"/proc/{node.pid}/task/{task}/status").read().splitlines()
        fields = {line.split(":")[0]: line.split(":")[1].split() for line in lines}
        assert fields["Uid"] == [str(user.pw_uid)] * 4 and fields["Gid"] == [str(user.pw_gid)] * 4
        kept = int(fields["CapEff"][0], 16)
        assert kept in (0, 1 << CAP_NET_BIND_SERVICE)
        assert kept or int(task) != node.pid, "a reload binds to port 443 on the first thread"
    log = node.directory / "access.log"
    assert log.stat().st_uid == user.pw_uid, "or it could not be opened again"
    assert curl(node.url("/hello?dropped")).status == 200
    eventually(lambda: "dropped" in log.read_text(), 5, "the line")
    assert "does not exist" in refused_start(tmp_path, plain_node(apps, server='user = "no-such-user"'))


def test_a_second_sigterm_ends_at_once(start_node, apps):
    node = start_node(plain_node(apps))
    with socket.create_connection(node.http(), timeout=10) as sock:
        sock.sendall(b"GET /slow?ms=8000 HTTP/1.1\r\nHost: t\r\n\r\n")
        wait_until(lambda: any(server.counts().get("GET /slow") for server in apps[:2]), 5, "the request at its server")
        node.child.signal(signal.SIGTERM)
        node.log_contains("draining")
        node.child.signal(signal.SIGTERM)
        assert node.child.wait(5) == 3


def test_a_listener_taken_away_and_given_back_resets_nobody(start_node, apps, eventually):
    port = free_port()
    with_it = plain_node(apps, f'[[listener]]\naddress = "127.0.0.2:{port}"\n')
    node = start_node(with_it)
    outcomes = {"answered": 0, "refused": 0}
    failures = []

    async def client(stop):
        while not stop.is_set():
            connection = Connection("127.0.0.2", port)
            try:
                await connection.open()
            except ConnectionRefusedError:
                outcomes["refused"] += 1
                await asyncio.sleep(0.005)
                continue
            try:
                answer = await asyncio.wait_for(connection.get("/hello"), 20)
                outcomes["answered"] += answer.status == 200
            except (Broken, OSError, asyncio.TimeoutError) as error:
                failures.append(repr(error))
            connection.close()

    async def scene():
        stop = asyncio.Event()
        clients = [asyncio.create_task(client(stop)) for _ in range(8)]
        for number in range(16):
            node.reload(with_it if number % 2 else plain_node(apps))
            await asyncio.sleep(0.2)
        stop.set()
        await asyncio.gather(*clients)

    asyncio.run(scene())
    print(outcomes, len(failures), "failed")
    assert failures == []
    assert outcomes["answered"] > 100 and outcomes["refused"] > 0


class TlsServer:
    """openssl s_server with one certificate; -www answers any GET with a page."""

    def __init__(self, chain, key):
        self.bind = f"127.0.0.1:{free_port()}"
        command = ["openssl", "s_server", "-accept", self.bind, "-cert", chain, "-key", key, "-www"]
        self.child = Child("s_server", command)
        self.child.expect_line("ACCEPT")


def sign(directory, name, days):
    """A certificate for `name`, signed by ca.pem of the directory."""
    chain, key, request = (directory / f"{name}-{days}.{suffix}" for suffix in ("pem", "key", "csr"))
    ask = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"]
    subprocess.run([*ask, "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", request], check=True, capture_output=True)
    give = ["openssl", "x509", "-req", "-in", request, "-CA", directory / "ca.pem", "-CAkey", directory / "ca.key"]
    give += ["-CAcreateserial", "-days", str(days), "-copy_extensions", "copyall", "-out", chain]
    subprocess.run(give, check=True, capture_output=True)
    return chain, key


def test_an_origin_must_show_a_valid_certificate_of_its_name_from_a_known_authority(start_node, tmp_path):
    tls.make_certificate(tmp_path, "ca")
    certificates = {
        "good": sign(tmp_path, "app.internal", 30),
        "wrong": sign(tmp_path, "other.internal", 30),
        "expired": sign(tmp_path, "app.internal", -1),
        "unknown": tls.make_certificate(tmp_path, "app.internal"),
    }
    servers = {name: TlsServer(*files) for name, files in certificates.items()}
    try:
        checked = f'{{ sni = "app.internal", ca = "{tmp_path}/ca.pem" }}'
        origins = [config.app_origin([server], name, tls=checked) for name, server in servers.items()]
        origins.append(config.app_origin([servers["good"]], "system", tls='{ sni = "app.internal" }'))
        origins.append(config.app_origin([servers["expired"]], "trusting", tls="{ verify = false }"))
        names = [*servers, "system", "trusting"]
        node = start_node(config.node(*origins, config.site(*(config.route(f"/{name}", origin=f'"{name}"') for name in names))))
        for name, status in zip(names, (200, 502, 502, 502, 502, 200)):
            assert curl(node.url(f"/{name}")).status == status, name
        for reason in ("hostname mismatch", "certificate has expired", "self-signed certificate", "unable to get local issuer"):
            node.log_contains(reason)
    finally:
        for server in servers.values():
            server.child.kill()
