"""What was purged does not come back: not after kill -9, not by a fill that was under way, not as another size."""

import http.client
import http.server
import json
import random
import threading
import time

import pytest

from support import config, photos
from support.client import curl
from support.disk_faults import DiskFaults
from support.origin import HandlerOrigin
from support.process import wait_until
from support.purging import ask, purge, serving, with_disk
from support.vignette import Vignette, split_address

ROUNDS = 3
URL = "http://test"
WRITTEN_AFTER = 2.0  # seconds


def await_written(node, objects):
    """They are in the disk's index, and what is indexed is written within a second."""
    wait_until(lambda: node.status()["disks"][0]["objects"] >= objects, 20, "objects on disk")
    time.sleep(WRITTEN_AFTER)


def kill(node):
    node.child.kill()


class Origin(HandlerOrigin):
    """Answers `PATH vN` with a lifetime of a day, N being what was last set; may be told to stall half way."""

    def __init__(self):
        self.version = 1
        self.requests = 0
        self.half_sent = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                origin.requests += 1
                body = f"{self.path} v{origin.version}".encode().ljust(400_000, b".")
                self.send_response(200)
                self.send_header("Cache-Control", "max-age=86400")
                self.send_header("Cache-Tag", f"all part-{self.path[-1]}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:200_000])
                if not origin.may_go_on.is_set():
                    origin.half_sent.set()
                    origin.may_go_on.wait(20)
                self.wfile.write(body[200_000:])

            def do_POST(self):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        super().__init__(Handler)

    def stop(self):
        self.may_go_on.set()
        super().stop()


@pytest.fixture
def origin():
    origin = Origin()
    yield origin
    origin.stop()


def app_config(origin):
    return with_disk(config.node(config.app_origin([origin]), config.site(config.route("/*", origin='"app"'))))


def version_of(node, path):
    answer = ask(node, path)
    assert answer.status == 200, answer.body
    return answer.body.rstrip(b".").decode()


def order_purge(node, body, method="POST", **fields):
    """(status, document, Allow) of what the admin API answers."""
    connection = http.client.HTTPConnection(*split_address(node.addresses["admin"][0]), timeout=10)
    connection.putrequest(method, "/v1/purge")
    for name, value in fields.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    connection.send(body)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    return answer.status, told, answer.getheader("Allow")


def test_what_was_purged_stays_away_after_kill_9(directory, origin):
    text = app_config(origin)
    rng = random.Random(7)
    paths = [f"/{name}" for name in range(10)]
    allowed = dict.fromkeys(paths, 1)
    for number in range(ROUNDS):
        with_node = Vignette(directory, text)
        try:
            wait_until(lambda n=with_node: serving(n), 20, "the disk read")
            for path in paths:
                name, version = version_of(with_node, path).split(" v")
                assert name == path and allowed[path] <= int(version) <= origin.version
            await_written(with_node, len(paths))
            origin.version += 1
            chosen = rng.sample(paths, 3)
            purge(with_node, URL + chosen[0])
            purge(with_node, "--tag", f"part-{chosen[1][-1]}")
            purge(with_node, "--prefix", URL + chosen[2])
            kill(with_node)
            allowed.update(dict.fromkeys(chosen, origin.version))
            print(f"round {number}: purged {chosen}, {origin.requests} requests so far")
        finally:
            with_node.child.kill()
    with Vignette(directory, text) as node:
        wait_until(lambda: serving(node), 20, "the disk read")
        for path in paths:
            assert int(version_of(node, path).split(" v")[1]) >= allowed[path]
        purge(node, "--all")
    before = origin.requests
    with Vignette(directory, text) as node:
        for path in paths:
            assert version_of(node, path) == f"{path} v{origin.version}"
    assert origin.requests == before + len(paths)


def test_a_fill_under_way_when_the_purge_came_is_not_kept(directory, origin):
    text = app_config(origin)
    with_node = Vignette(directory, text)
    try:
        wait_until(lambda: serving(with_node), 20, "the disk made")
        origin.may_go_on.clear()
        answers = []
        reader = threading.Thread(target=lambda: answers.append(version_of(with_node, "/a")))
        reader.start()
        assert origin.half_sent.wait(20)
        purge(with_node, URL + "/a")
        origin.version = 2
        origin.may_go_on.set()
        reader.join(20)
        assert answers == ["/a v1"]
        assert version_of(with_node, "/a") == "/a v2"
    finally:
        with_node.child.kill()
    with Vignette(directory, text) as node:
        wait_until(lambda: serving(node), 20, "the disk read")
        assert version_of(node, "/a") == "/a v2"


def test_a_photo_goes_with_all_its_sizes(directory):
    folder = directory / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(photos.with_position(photos.picture(640, 480)))
    (folder / "dog.jpg").write_bytes(photos.with_position(photos.picture(640, 480, seed=2)))
    local = '[origin.local]\ndirectory = "photos"\n'
    routes = [config.route("/i/*", images='"local"'), config.route("/o/*", origin='"local"')]
    text = with_disk(config.node(config.UNSIGNED_IMAGES, local, config.site(*routes)))
    cats = ["/o/cat.jpg", "/i/-/w=150/cat.jpg", "/i/-/w=320/cat.jpg@webp", "/i/-/info/cat.jpg"]
    dogs = [path.replace("cat", "dog") for path in cats]
    with_node = Vignette(directory, text)
    try:
        wait_until(lambda: serving(with_node), 20, "the disk made")
        assert [ask(with_node, path).status for path in cats + dogs] == [200] * 8
        await_written(with_node, 8)
        (folder / "cat.jpg").unlink()
        (folder / "dog.jpg").unlink()
        assert [ask(with_node, path).status for path in cats + dogs] == [200] * 8
        purge(with_node, URL + "/i/-/w=240/cat.jpg")
        kill(with_node)
    finally:
        with_node.child.kill()
    with Vignette(directory, text) as node:
        wait_until(lambda: serving(node), 20, "the disk read")
        assert [ask(node, path).status for path in cats] == [404] * 4
        assert [ask(node, path).status for path in dogs] == [200] * 4
        told = json.loads(purge(node, "--origin", "local", "--dry-run", "--json"))
        assert told["dry_run"] is True and told["known_in_memory"] >= 4
        purge(node, "--prefix", "/do", "--origin", "local")
        assert [ask(node, path).status for path in dogs] == [404] * 4


def test_the_command_says_what_is_wrong(directory, origin):
    text = config.node(config.app_origin([origin]), config.site(config.route("/*", origin='"app"')))
    with Vignette(directory, text) as node:
        assert "name what to purge" in purge(node, expect=1)
        assert "no origin is called" in purge(node, "--origin", "nobody", expect=1)
        assert "two orders" in purge(node, URL + "/a", "--tag", "x", expect=1)
        assert "not an http" in purge(node, "a/b", expect=1)
        assert "(--prefix)" in purge(node, URL + "/photos/*", expect=1)
        assert "percent-encode it" in purge(node, URL + "/caf\u00e9", expect=1)
        assert version_of(node, "/a") == "/a v1"
        assert "would purge 1 objects in memory" in purge(node, URL + "/a", "--dry-run")
        assert purge(node, URL + "/a", "--soft").startswith("purge ")
        assert node.metric("vignette_purges_total") == 1


def test_the_api_takes_whole_orders_of_its_own_pages_only(directory, origin):
    text = config.node(config.app_origin([origin]), config.site(config.route("/*", origin='"app"')))
    with Vignette(directory, text) as node:
        assert version_of(node, "/a") == "/a v1"

        def post(body, method="POST", **fields):
            return order_purge(node, body, method, **fields)

        order = b'{"all": true}'
        length = str(len(order))
        assert post(b"", "GET")[::2] == (405, "POST")
        assert post(b"d\r\n" + order + b"\r\n0\r\n\r\n", Transfer_Encoding="chunked")[0] == 411
        assert post(b"", Content_Length=str(256 * 1024 + 1))[0] == 413
        assert post(order, Content_Length=length, Origin="http://evil.example")[0] == 403
        assert post(b"{" * 7, Content_Length="7")[0] == 400
        assert version_of(node, "/a") == "/a v1"
        origin.version = 2
        assert version_of(node, "/a") == "/a v1"
        status, receipt, _ = post(order, Content_Length=length)
        assert (status, receipt["kind"], receipt["mode"]) == (200, "all", "hard")
        assert version_of(node, "/a") == "/a v2"
        assert node.metric("vignette_cache_purged_total") == 1


def test_a_full_file_system_holds_no_purge_up_and_says_that_it_is_not_durable(directory, origin, tmp_path):
    faults = DiskFaults(tmp_path / "faults", seed=5)
    node = Vignette(directory, app_config(origin), environment=faults.environment)
    try:
        wait_until(lambda: serving(node), 20, "the disk read")
        paths = [f"/{name}" for name in range(3)]
        assert [version_of(node, path) for path in paths] == [f"{path} v1" for path in paths]
        await_written(node, len(paths))
        origin.version = 2
        faults.set(journal_full=1.0)
        said = purge(node, URL + paths[0], expect=1)
        assert "purged in memory and on disks" in said and "No space left" in said
        order = json.dumps({"url": URL + paths[1]}).encode()
        status, receipt, _ = order_purge(node, order, Content_Length=str(len(order)))
        assert status == 500 and receipt["durable"] is False and receipt["id"] > 0
        assert curl(node.url(paths[2]), "-X", "POST", "-H", "Host: test").status == 200
        assert [version_of(node, path) for path in paths] == [f"{path} v2" for path in paths]
        assert "must be durable" in purge(node, "--erase", URL + paths[0], expect=1)
        assert version_of(node, paths[0]) == f"{paths[0]} v2"
        assert node.metric("vignette_purge_journal_behind") == 1
        assert node.metric("vignette_purges_not_durable_total") == 3
        assert node.status()["purges"]["durable"] is False
        node.log_contains("is in effect, but not durable")
        node.log_contains("invalidation after POST: in effect, but not durable")
        node.log_contains("a restart would forget purges that are in effect")
        # With room again everything is written within a second, and holds after a crash.
        faults.set()
        node.log_contains("all purges are durable")
        assert node.metric("vignette_purge_journal_behind") == 0
        origin.version = 3
        kill(node)
    finally:
        node.child.kill()
    with Vignette(directory, app_config(origin)) as node:
        wait_until(lambda: serving(node), 20, "the disk read")
        assert all(version_of(node, path) != f"{path} v1" for path in paths)


def test_a_folder_that_has_lost_its_mount_is_told_of_at_the_start(directory, origin):
    text = app_config(origin).replace("[cache]", '[cache]\nstate = "state"')
    with Vignette(directory, text) as node:
        wait_until(lambda: serving(node), 20, "the disk made")
        assert version_of(node, "/a") == "/a v1"
        assert "mount missing" not in "".join(node.child.lines)
    for lost, told in (("state", "no journal of purges is there"), ("disk", "no volume is there")):
        (directory / lost).rename(directory / f"{lost}.away")
        with Vignette(directory, text) as node:
            assert len([line for line in node.child.lines if told in line and "mount missing" in line]) == 1
            assert version_of(node, "/a") in ("/a v1", "/a v2")
