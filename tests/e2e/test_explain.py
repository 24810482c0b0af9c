"""`vignette explain`: what a person reads of a photo's URL before it was asked for, after, purged, and expired."""

import http.server
import json
import re
import subprocess
import threading

import pytest

from support import config, photos, places
from support.client import curl

PATH = "/i/-/w=320/cats/tom.jpg"
WEBP = "Accept: image/webp"
DATE = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"


@pytest.fixture
def node(start_node, tmp_path):
    folder = tmp_path / "photos"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "tom.jpg").write_bytes(photos.with_position(photos.picture(800, 600)))
    origin = f'[origin.local]\ndirectory = "{folder}"\n'
    routes = [config.route("/i/*", images='"local"'), config.route("/", gallery='"local"')]
    text = config.node(config.UNSIGNED_IMAGES, origin, config.site(*routes, hosts='"img.test"'))
    return start_node(text.replace('memory = "256MiB"', 'memory = "256MiB"\ndisk = [{ path = "disk", size = "256MiB" }]'))


def command(node, name, *arguments, expect=0):
    done = subprocess.run(
        [places.binary(), name, "--admin", node.addresses["admin"][0], *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if expect == 0 else done.stderr


def explain(node, *arguments, **options):
    return command(node, "explain", f"http://img.test{PATH}", *arguments, **options)


def lines_of(text):
    """{word: rest} of the lines of the URL itself, and of its original."""
    own, _, original = text.partition("  original\n")
    read = [dict(re.findall(r"^ +([a-z]+(?: miss)?) +(.*)$", part, re.MULTILINE)) for part in (own, original)]
    assert own.startswith(f"http://img.test{PATH}\n"), text
    return read


def ask(node, *arguments):
    answer = curl(node.url(PATH), "-H", "Host: img.test", *arguments)
    assert answer.status == 200, answer.body
    return answer


def test_a_photo_from_never_seen_to_a_hit_and_out_again(node):
    own, original = lines_of(explain(node, "--header", WEBP))
    assert own["route"] == "img.test/i/* of site img.test, origin local"
    assert own["key"].startswith("/cats/tom.jpg  [")
    assert own["last miss"] == original["last miss"] == "never seen before"
    assert own["next"] == "a miss: made from a photo that local gives"

    ask(node, "-H", WEBP)
    own, original = lines_of(explain(node, "--header", WEBP))
    assert re.fullmatch(rf"{DATE}, status 200, \d+ bytes, ETag \"\S+\"", own["stored"])
    assert re.fullmatch(r"86400 s by .*; age \d s, 8639\d s left|86400 s by .*; age 0 s, 86400 s left", own["fresh"]), own["fresh"]
    assert own["in"].startswith("memory and disk 0 (") and "/disk, serving)" in own["in"], own["in"]
    assert own["next"] == "a hit"
    assert original["in"].startswith("memory and disk 0 (")
    assert original["fresh"].startswith("86400 s by ttl of the route; ")
    assert curl(node.url(PATH), "-H", "Host: img.test", "-H", WEBP).header("cache-status").startswith("Vignette; hit")

    # Another format is another picture, and this one would not ask the origin.
    own, _ = lines_of(explain(node))
    assert own["last miss"] == "never seen before"
    assert own["next"] == "a miss: made from the photo in the cache (memory)"

    command(node, "purge", f"http://img.test{PATH}")
    own, original = lines_of(explain(node, "--header", WEBP))
    by_url = "by its URL, as ordered or after a request such as POST"
    assert re.fullmatch(rf"purged {DATE} {by_url} \(purge \d+\)", own["last miss"]), own["last miss"]
    assert original["purges"].startswith("dead by url, purge ")
    assert own["next"] == "a miss: made from a photo that local gives"

    ask(node, "-H", WEBP)
    own, _ = lines_of(explain(node, "--header", WEBP))
    assert re.fullmatch(rf"purged {DATE} {by_url}", own["last miss"]), own["last miss"]
    assert own["next"] == "a hit"

    command(node, "purge", "--soft", f"http://img.test{PATH}")
    own, _ = lines_of(explain(node, "--header", WEBP))
    assert re.fullmatch(rf"made stale {DATE} \(a soft purge\) {by_url} \(purge \d+\)", own["last miss"]), own["last miss"]
    assert own["purges"].startswith("stale by a soft purge: url, purge "), own["purges"]
    assert re.search(r"; age \d s, (0 s left|ended \d s ago)$", own["fresh"]), own["fresh"]


def test_the_document_is_printed_as_it_came_where_it_is_wanted(node, eventually):
    ask(node)
    told = json.loads(explain(node, "--json"))
    assert told["tier"] == "memory" and told["next"]["answer"] == "hit"
    assert told["object"]["lifetime"]["seconds"] == 86400
    document = f"/v1/explain?url=http%3A%2F%2Fimg.test{PATH.replace('/', '%2F').replace('=', '%3D')}"
    # The object gets older, and the disk takes it, while the two are asked for.
    same = lambda: json.loads(explain(node, "--json")) == json.loads(node.admin(document))
    eventually(same, 20, "the command and the API to say the same")


def test_explaining_is_no_request(node, eventually):
    ask(node)
    eventually(lambda: node.metric("vignette_cache_requests_total") == 1, 5, "the request to be counted")
    before = node.metrics()
    for _ in range(5):
        explain(node)
    after = node.metrics()
    for name in ("vignette_cache_requests_total", "vignette_fills_started_total", "vignette_cache_objects", "vignette_disk_reads_total"):
        series = {key: value for key, value in before.items() if key[0] == name}
        assert series and all(after[key] == value for key, value in series.items()), name


def test_what_has_no_answer_to_explain_is_said_in_a_sentence(node):
    def refused(*arguments):
        return command(node, "explain", *arguments, expect=1)

    assert "no route answers GET http://elsewhere.test/" in refused("http://elsewhere.test/")
    assert "nothing at this URL is ever stored" in refused("http://img.test/")
    assert "is not an http or https URL" in refused("cats/tom.jpg")
    assert "a space, a control or a letter beyond ASCII" in refused("http://img.test/i/-/w=1/tom cat.jpg")
    assert "write %25" in refused("http://img.test/i/-/w=1/100%.jpg")
    assert "a space" in refused(f"http://img.test{PATH}?v=a b")
    assert "is not a header" in refused(f"http://img.test{PATH}", "--header", "webp please")


class App(http.server.BaseHTTPRequestHandler):
    """What each path says of itself: /private, /varied, /stale, /broken and 50 kB of anything else."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/broken":
            self.close_connection = True
            return
        body = b"x" * (50_000 if self.path.startswith("/large") else 100)
        self.send_response(200)
        self.send_header("Cache-Control", "private" if self.path == "/private" else "max-age=600")
        if self.path == "/stale":
            self.send_header("Age", "700")
            self.send_header("ETag", '"stale"')
        if self.path == "/varied":
            self.send_header("Vary", "X-Kind")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def app():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    server.bind = "127.0.0.1:%d" % server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_every_cause_of_a_miss_has_its_words(start_node, app):
    node = start_node(config.node(config.app_origin([app]), config.site(config.route("/*", origin='"app"')), memory="1MiB"))

    def told(path, *arguments):
        return json.loads(command(node, "explain", f"http://app.test{path}", "--json", *arguments))

    for path in ("/private", "/varied", "/stale", "/broken", "/large"):
        curl(node.url(path), "-H", "Host: app.test", "-H", "X-Kind: one")
    private = told("/private")
    assert private["last_miss"]["cause"] == "hit-for-miss" and "was not stored: private" in private["last_miss"]["text"]
    assert 0 < private["hit_for_miss_seconds"] <= 120
    assert told("/varied", "--header", "X-Kind: one")["next"]["answer"] == "hit"
    assert told("/varied", "--header", "X-Kind: two")["last_miss"]["cause"] == "vary"
    assert told("/stale")["next"]["answer"] == "revalidate" and told("/stale")["last_miss"]["cause"] == "stale"
    assert told("/broken")["last_miss"]["cause"] == "failed"
    assert told("/large")["next"]["answer"] == "hit"
    for number in range(40):
        curl(node.url(f"/large{number}"), "-H", "Host: app.test")
    large = told("/large")
    assert large["tier"] == "none" and large["last_miss"]["cause"] == "evicted"
    curl(node.url("/large"), "-H", "Host: app.test")
    assert told("/large")["last_miss"]["cause"] == "evicted" and told("/large")["next"]["answer"] == "hit"
