"""A warm cache: from a list, a sitemap and another node's hot list, and of its own after a restart or kill -9."""

import gzip
import http.server
import subprocess

import pytest

from support import config, photos, places
from support.client import curl
from support.origin import HandlerOrigin
from support.process import wait_until
from support.purging import serving, with_disk
from support.vignette import Vignette

SITE = "http://site.test"


class Origin(HandlerOrigin):
    """Answers any path with a lifetime of a day, and counts; `documents` are answered as they are, unstored."""

    def __init__(self):
        self.requests = []
        self.documents = {}
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                origin.requests.append(self.path)
                known = origin.documents.get(self.path)
                body = known or f"{self.path} ".encode() * 100
                self.send_response(404 if self.path.startswith("/gone") else 200)
                self.send_header("Cache-Control", "no-store" if known else "max-age=86400")
                self.send_header("Vary", "Accept-Encoding")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        super().__init__(Handler)


@pytest.fixture
def origin():
    origin = Origin()
    yield origin
    origin.stop()


def app_config(origin):
    return config.node(config.app_origin([origin]), config.site(config.route("/*", origin='"app"')))


def vignette(node, *arguments, expect=0, given=None):
    done = subprocess.run(
        [places.binary(), arguments[0], "--admin", node.addresses["admin"][0], *map(str, arguments[1:])],
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def ask(node, path, *fields):
    """By a name that a restart does not change, as it does the port; with what browsers accept."""
    host = SITE.removeprefix("http://")
    return curl(node.url(path), "-H", f"Host: {host}", "-H", "Accept-Encoding: gzip, deflate, br, zstd", *fields)


def restored(node):
    return node.status()["warm"]["restore"]


def await_restored(node):
    wait_until(lambda: restored(node)["phase"] == "done", 30, "memory read back")


def test_a_list_is_warmed_at_a_pace_and_the_exit_code_says_whether_all_of_it(start_node, origin):
    node = start_node(app_config(origin))
    paths = [f"/page/{i}" for i in range(30)]
    urls = "".join(f"{SITE}{path}\n" for path in paths)
    told = vignette(node, "warm", "-", "--rate", "0", given="# pages\n\n" + urls)
    assert "warm: 30 asked, 0 hit, 30 stored, 0 failed" in told
    assert sorted(origin.requests) == sorted(paths)
    assert all("hit" in ask(node, path).cache_status for path in paths)
    assert "30 asked, 30 hit, 0 stored, 0 failed" in vignette(node, "warm", "-", "--rate", "0", given=urls)
    assert len(origin.requests) == 30
    told = vignette(node, "warm", "-", given=f"{SITE}/page/1\n{SITE}/gone\nnonsense\n", expect=1)
    assert "3 asked, 1 hit, 0 stored, 2 failed" in told
    assert f"{SITE}/gone: answered 404" in told
    assert node.metric("vignette_warm_orders_total", outcome="stored") == 30
    assert "cannot be read" in vignette(node, "warm", "no-such-file", expect=1)
    assert '"-1" is no pace' in vignette(node, "warm", "no-such-file", "--rate", "-1", expect=2)


def test_a_sitemap_index_of_the_site_itself_is_followed(start_node, origin):
    def urlset(urls):
        return "<urlset>" + "".join(f"<url><loc>{url}</loc></url>" for url in urls) + "</urlset>"

    node = start_node(app_config(origin))
    origin.documents = {
        "/sitemap.xml": f"<sitemapindex><sitemap><loc>{SITE}/1.xml</loc></sitemap><sitemap><loc>{SITE}/2.xml.gz"
        "</loc></sitemap></sitemapindex>".encode(),
        "/1.xml": urlset([f"{SITE}/a?x=1&amp;y=2", f"{SITE}/b"]).encode(),
        "/2.xml.gz": gzip.compress(urlset([f"{SITE}/c"]).encode()),
    }
    assert "3 asked, 0 hit, 3 stored, 0 failed" in vignette(node, "warm", "--sitemap", f"{SITE}/sitemap.xml")
    assert all("hit" in ask(node, path).cache_status for path in ["/a?x=1&y=2", "/b", "/c"])
    told = vignette(node, "warm", "--sitemap", f"{SITE}/gone.xml", expect=1)
    assert f"{SITE}/gone.xml: " in told and "answered 404" in told


def test_a_new_node_gets_the_memory_of_the_old_one(start_node, origin, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat 1.jpg").write_bytes(photos.with_position(photos.picture(640, 480)))
    local = f'[origin.local]\ndirectory = "{folder}"\n'
    routes = [config.route("/i/*", images='"local"'), config.route("/o/*", origin='"local"')]
    text = config.node(
        config.UNSIGNED_IMAGES,
        local,
        config.app_origin([origin]),
        config.site(*routes, config.route("/*", origin='"app"')),
    )
    old, new = start_node(text), start_node(text)
    paths = [f"/page/{i}" for i in range(10)]
    paths += ["/o/cat%201.jpg", "/i/-/w=150/cat%201.jpg", "/i/-/w=320,f=webp/cat%201.jpg", "/i/-/info/cat%201.jpg"]
    webp = ["-H", "Accept: image/webp"]
    for times, path in enumerate(paths, 1):
        assert [ask(old, path, *webp).status for _ in range(times)] == [200] * times
    listed = vignette(old, "hot")
    assert listed.startswith("vignette hot list 1\n13 ")  # hits of what was asked for last, 14 times
    assert vignette(old, "hot", "-n", "1").count("\n") == 3
    told = vignette(new, "warm", "--rate", "0", "--from", "http://" + old.addresses["admin"][0])
    assert ", 0 failed" in told
    for path in paths:
        answer = ask(new, path, *webp)
        assert answer.status == 200 and "hit" in answer.cache_status, (path, answer.cache_status)
        assert answer.body == ask(old, path, *webp).body
    assert sorted(origin.requests) == sorted(2 * paths[:10])
    # The list as a file does the same, and a damaged one nothing.
    saved = tmp_path / "saved.list"
    saved.write_text(listed)
    assert ", 0 stored, 0 failed" in vignette(new, "warm", saved)
    saved.write_text(listed.replace("page", "pagf", 1))
    assert "the hot list is damaged" in vignette(new, "warm", "--from", saved, expect=1)


def test_memory_comes_back_after_a_stop_and_after_kill_9(directory, origin):
    text = with_disk(app_config(origin))
    paths = [f"/page/{i}" for i in range(50)]
    with Vignette(directory, text) as node:
        wait_until(lambda: serving(node), 20, "the disk made")
        await_restored(node)
        assert [ask(node, path).status for path in paths * 2] == [200] * 100
    assert len(origin.requests) == 50
    killed = Vignette(directory, text)
    try:
        await_restored(killed)
        told = restored(killed)
        # A Vary marker for each, too.
        assert (told["listed"], told["objects"], told["memory_full"]) == (100, 100, False)
        assert "100 of 100 hot objects read from disk" in vignette(killed, "status")
    finally:
        killed.child.kill()
    with Vignette(directory, text) as node:
        await_restored(node)
        assert restored(node)["objects"] == 100
        assert node.status()["requests"]["hit"] == 0
        for path in paths:
            answer = ask(node, path)
            assert "hit" in answer.cache_status and "disk" not in answer.cache_status
        assert node.metric("vignette_warm_restored_objects_total") == 100
    assert len(origin.requests) == 50


def test_a_damaged_hot_list_is_one_line_of_the_log(directory, origin):
    text = with_disk(app_config(origin))
    with Vignette(directory, text) as node:
        wait_until(lambda: serving(node), 20, "the disk made")
        await_restored(node)
        ask(node, "/a")
    path = directory / "disk" / "hot.list"
    path.write_bytes(path.read_bytes().replace(b"site.test", b"sitf.test"))
    with Vignette(directory, text) as node:
        await_restored(node)
        assert sum("hot list" in line for line in node.child.lines) == 1
        assert "disk" in ask(node, "/a").cache_status
        assert node.metric("vignette_warm_list_faults_total") == 1
    assert origin.requests == ["/a"]
