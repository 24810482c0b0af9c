"""HAProxy as the load balancer in front and as the origin behind, and curl: witnesses of the PROXY protocol."""

import pytest

from support import config, tls
from support.apps import free_port
from support.client import curl
from support.process import Child

TRUSTED = 'trusted = ["127.0.0.0/8"]'
HAPROXY = """
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 5s
frontend origin
    bind 127.0.0.1:{origin} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]" hdr Cache-Control no-store
listen balancer
    mode tcp
    bind 127.0.0.9:{front}
    server node {node} {send}
"""


@pytest.fixture
def haproxy(tmp_path):
    """haproxy(**ports and options): a running HAProxy; ended with the test."""
    running = []

    def start(**values):
        path = tmp_path / "haproxy.cfg"
        path.write_text(HAPROXY.format(**values))
        child = Child("haproxy", ["/usr/sbin/haproxy", "-W", "-db", "-f", path])
        running.append(child)
        child.expect_line(r"Loading success")

    yield start
    for child in running:
        child.kill()


def proxied_node(origin, version):
    return config.node(
        "proxy_protocol = true",
        f'[origin.app]\nservers = ["127.0.0.1:{origin}"]\nproxy_protocol = "{version}"\n',
        config.site(config.route("/*", origin='"app"')),
        server=TRUSTED,
    )


@pytest.mark.parametrize("version, send", [("v1", "send-proxy"), ("v2", "send-proxy-v2"), ("v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id")])
def test_haproxy_in_front_and_behind_sees_who_asked(start_node, haproxy, version, send):
    origin, front = free_port(), free_port()
    node = start_node(proxied_node(origin, version))
    host, port = node.http()
    haproxy(origin=origin, front=front, node=f"{host}:{port}", send=send)
    answer = curl(f"http://127.0.0.9:{front}/", "--interface", "127.0.0.7", "--local-port", "20000-60000")
    assert answer.status == 200, answer
    source, source_port, destination, destination_port = answer.body.decode().split()
    assert (source, destination, destination_port) == ("127.0.0.7", "127.0.0.9", str(front))
    assert 20000 <= int(source_port) <= 60000
    assert node.metric("vignette_connections_accepted_total") >= 1


def test_curl_names_itself_before_tls(start_node, apps, tmp_path):
    chain, key = tls.make_certificate(tmp_path, "one.test")
    node = start_node(
        config.node(
            '[[listener]]\naddress = "127.0.0.2:0"\ntls = true\nproxy_protocol = ["127.0.0.0/8"]\n',
            f'[[certificate]]\nchain = "{chain}"\nkey = "{key}"\n',
            config.app_origin(apps),
            config.site(config.route("/*", origin='"app"')),
        )
    )
    host, port = node.https()
    arguments = ["--cacert", chain, "--resolve", f"one.test:{port}:{host}", "--interface", "127.0.0.8"]
    answer = curl(f"https://one.test:{port}/headers", "--haproxy-protocol", *arguments)
    assert answer.status == 200
    assert b'"127.0.0.8"' in answer.body  # X-Forwarded-For
    # Without it the client's hello is no header.
    with pytest.raises(AssertionError):
        curl(f"https://one.test:{port}/headers", *arguments)
    assert node.metric("vignette_connections_refused_total", reason="proxy_missing") == 1
