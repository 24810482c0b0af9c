"""`vignette explain`: what a person reads of a photo's URL before it was asked for, after, purged, and expired."""

import json
import re
import subprocess

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
    assert re.fullmatch(rf"purged {DATE} by url \(purge \d+\)", own["last miss"]), own["last miss"]
    assert original["purges"].startswith("dead by url, purge ")
    assert own["next"] == "a miss: made from a photo that local gives"

    ask(node, "-H", WEBP)
    own, _ = lines_of(explain(node, "--header", WEBP))
    assert re.fullmatch(rf"purged {DATE} by url", own["last miss"]), own["last miss"]
    assert own["next"] == "a hit"


def test_the_document_is_printed_as_it_came_where_it_is_wanted(node):
    ask(node)
    told = json.loads(explain(node, "--json"))
    assert told["tier"] == "memory" and told["next"]["answer"] == "hit"
    assert told["object"]["lifetime"]["seconds"] == 86400
    assert told == json.loads(node.admin(f"/v1/explain?url=http%3A%2F%2Fimg.test{PATH.replace('/', '%2F').replace('=', '%3D')}"))


def test_explaining_is_no_request(node):
    ask(node)
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
    assert "is not a header" in refused(f"http://img.test{PATH}", "--header", "webp please")
