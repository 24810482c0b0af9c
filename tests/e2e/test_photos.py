"""Photos and their resizes, from a cache that pulls from S3 on a miss."""

import asyncio
import os
from urllib.parse import quote

import pytest

from support import config, photos
from support.client import Connection, curl, gather

WIDTHS = [160, 240, 320, 480, 640, 800, 960, 1280]


@pytest.fixture
def node(start_node, s3):
    return start_node(config.node(config.photo_site(s3)), s3.environment())


def is_hit(answer):
    return "; hit" in answer.cache_status


def test_a_cold_photo_is_read_from_s3_once_and_then_never_again(node, s3, photo_files):
    s3.put("cold.jpg", photo_files[0])
    s3.reset_counts()
    cold = curl(node.url("/i/-/w=640,f=jpeg/cold.jpg"))
    assert cold.status == 200, cold.body
    assert "fwd=uri-miss" in cold.cache_status
    assert s3.gets("cold.jpg") == 1
    for _ in range(5):
        warm = curl(node.url("/i/-/w=640,f=jpeg/cold.jpg"))
        assert warm.status == 200 and is_hit(warm), warm.cache_status
        assert warm.body == cold.body
        assert warm.header("etag") == cold.header("etag")
    assert photos.opened(cold.body).width == 640
    original = curl(node.url("/o/cold.jpg"))
    assert original.body == photo_files[0].read_bytes()
    assert s3.gets("cold.jpg") == 1


def test_resizes_carry_no_metadata_and_keep_their_shape(node, s3, photo_files):
    s3.put("tagged.jpg", photo_files[0])
    whole = photos.opened(photo_files[0].read_bytes())
    for form in ("jpeg", "webp", "png"):
        answer = curl(node.url(f"/i/-/w=400,f={form}/tagged.jpg"))
        assert answer.status == 200, (form, answer.body)
        assert answer.header("content-type") == f"image/{form}"
        photos.assert_no_metadata(answer.body)
        image = photos.opened(answer.body)
        assert image.format.lower() == form
        assert image.width == 400
        assert abs(image.height - whole.height * 400 / whole.width) <= 1


def test_the_format_follows_accept(node, s3, photo_files):
    s3.put("auto.jpg", photo_files[0])
    url = node.url("/i/-/w=320/auto.jpg")
    assert curl(url, "-H", "Accept: image/webp,*/*").header("content-type") == "image/webp"
    plain = curl(url, "-H", "Accept: */*")
    assert plain.header("content-type") == "image/jpeg"
    assert "accept" in plain.header("vary").lower()


def test_eight_sizes_of_one_cold_photo_for_200_clients_read_s3_once(start_node, s3, photo_files):
    setup = config.node(config.photo_site(s3), workers=2)
    alone = start_node(setup, s3.environment())
    s3.put("crowd.jpg", photo_files[1])
    paths = [f"/i/-/w={width},f=jpeg/crowd.jpg" for width in WIDTHS]
    single = {path: curl(alone.url(path)) for path in paths}
    assert all(answer.status == 200 for answer in single.values())
    alone.stop()

    crowded = start_node(setup, s3.environment())
    s3.reset_counts()
    s3.set(delay_ms=1000)

    async def client(number):
        connection = Connection(*crowded.http())
        path = paths[number % len(paths)]
        answer = await connection.get(path)
        connection.close()
        return path, answer

    answers = gather(*(client(number) for number in range(200)), seconds=60)
    assert s3.gets("crowd.jpg") == 1
    for path, answer in answers:
        assert answer.status == 200, (path, answer.body)
        assert answer.body == single[path].body, path


def test_waiting_clients_that_leave_do_not_cancel_the_fill(node, s3, photo_files):
    s3.put("left.jpg", photo_files[0])
    s3.reset_counts()
    s3.set(delay_ms=800)

    async def leave():
        _, writer = await asyncio.open_connection(*node.http())
        writer.write(b"GET /o/left.jpg HTTP/1.1\r\nHost: test\r\n\r\n")
        await writer.drain()
        while s3.gets("left.jpg") == 0:
            await asyncio.sleep(0.01)
        writer.transport.abort()

    async def stay():
        connection = Connection(*node.http())
        answer = await connection.get("/o/left.jpg")
        connection.close()
        return answer

    gather(leave())
    answer = gather(stay())[0]
    assert answer.status == 200
    assert answer.body == photo_files[0].read_bytes()
    assert s3.gets("left.jpg") == 1


@pytest.mark.parametrize("fault", ["slowdown", "reset"])
def test_a_stale_photo_is_served_when_s3_is_down_and_says_so(node, s3, photo_files, eventually, fault):
    key = f"stale-{fault}.jpg"
    s3.put(key, photo_files[0], cache_control="max-age=1")
    fresh = curl(node.url(f"/o/{key}"))
    assert fresh.status == 200
    s3.set(mode=fault)

    def stale():
        answer = curl(node.url(f"/o/{key}"))
        assert answer.status == 200
        assert answer.body == fresh.body
        return answer if "fwd=stale" in answer.cache_status or "ttl=-" in answer.cache_status else None

    answer = eventually(stale, 10, "an answer that says it is stale")
    assert int(answer.header("age")) >= 1
    s3.set(mode="ok")
    eventually(lambda: is_hit(curl(node.url(f"/o/{key}"))) or None, 10, "a hit after S3 came back")


def test_without_a_stored_photo_a_throttling_s3_is_503_with_retry_after(node, s3, photo_files, eventually):
    s3.put("never.jpg", photo_files[0])
    s3.set(mode="slowdown")
    answer = curl(node.url("/o/never.jpg"))
    assert answer.status == 503
    assert int(answer.header("retry-after")) > 0
    asked = s3.gets("never.jpg")
    assert asked <= 3, "tried again twice at most"
    s3.set(mode="reset")
    # The node holds requests back for a moment, and then asks again.
    eventually(lambda: curl(node.url("/o/never2.jpg")).status == 502 or None, 10, "an answer of the broken S3")


def test_an_s3_that_hangs_is_504_and_a_stored_photo_is_served_stale(node, s3, photo_files):
    s3.put("hang.jpg", photo_files[0], cache_control="max-age=1")
    fresh = curl(node.url("/o/hang.jpg"))
    assert fresh.status == 200
    s3.set(mode="hang")

    async def ask(path):
        """Until it is more than a hit of what is still fresh."""
        connection = Connection(*node.http())
        answer = await connection.get(path)
        while is_hit(answer) and "ttl=-" not in answer.cache_status:
            await asyncio.sleep(0.05)
            answer = await connection.get(path)
        connection.close()
        return answer

    paths = ["/o/hang.jpg", "/o/never-seen.jpg", "/i/-/w=100/never-seen.jpg"]
    stale, original, picture = gather(*(ask(path) for path in paths), seconds=50)
    assert (stale.status, stale.body) == (200, fresh.body)
    assert "fwd=stale" in stale.cache_status or "ttl=-" in stale.cache_status
    assert (original.status, picture.status) == (504, 504)


def test_a_missing_photo_is_404_in_both_routes(node):
    assert curl(node.url("/o/nothing.jpg")).status == 404
    assert curl(node.url("/i/-/w=100/nothing.jpg")).status == 404


def test_a_wrong_secret_is_explained_to_the_operator_and_never_served(start_node, s3, photo_files):
    s3.put("secret.jpg", photo_files[0])
    node = start_node(config.node(config.photo_site(s3)), s3.environment(secret="WRONG"))
    s3.reset_counts()
    answer = curl(node.url("/o/secret.jpg"))
    assert answer.status == 502
    assert s3.refused() >= 1
    node.log_contains("SignatureDoesNotMatch")
    assert not any("WRONG" in line for line in node.child.lines)


@pytest.mark.parametrize("key", ["with space.jpg", "plus+and&.jpg", "ünï/cödé.jpg", "a=b/c@d.jpg", "dot.~_-.jpg"])
def test_keys_with_unusual_characters_are_signed_right(node, s3, photo_files, key):
    s3.put(quote(key, safe="/~"), photo_files[2])
    answer = curl(node.url("/o/" + quote(key, safe="/~")))
    assert answer.status == 200, answer.body
    assert answer.body == photo_files[2].read_bytes()


def test_conditional_and_range_requests_are_answered_from_the_cache(node, s3, photo_files):
    s3.put("part.jpg", photo_files[0])
    s3.reset_counts()
    url = node.url("/o/part.jpg")
    whole = curl(url)
    etag = whole.header("etag")
    assert curl(url, "-H", f"If-None-Match: {etag}").status == 304
    part = curl(url, "-r", "1000-1999")
    assert part.status == 206
    assert part.body == whole.body[1000:2000]
    assert part.header("content-range") == f"bytes 1000-1999/{len(whole.body)}"
    head = curl(url, "-I")
    assert head.status == 200
    assert head.header("content-length") == str(len(whole.body))
    assert curl(url, "-r", "999999999-").status == 416
    assert s3.gets("part.jpg") == 1


def test_parts_of_a_large_object_are_read_from_s3_as_they_are_asked_for(node, s3, tmp_path):
    bytes_of_it = os.urandom(5_000_000)
    (tmp_path / "large").write_bytes(bytes_of_it)
    s3.put("large.jpg", tmp_path / "large")
    s3.reset_counts()
    url = node.url("/o/large.jpg")
    for reads in (2, 2):
        part = curl(url, "-r", "3000000-3000999")
        assert part.status == 206
        assert part.header("content-range") == "bytes 3000000-3000999/5000000"
        assert part.body == bytes_of_it[3000000:3001000]
        assert s3.gets("large.jpg") == reads
    assert is_hit(part)
    whole = curl(url)
    assert whole.body == bytes_of_it
    assert "fwd=partial" in whole.cache_status
    assert s3.gets("large.jpg") == 4, "the gap before and the gap behind"
    assert is_hit(curl(url, "-r", "-10"))


def test_a_large_photo_that_is_there_in_part_is_completed_for_its_resizes(node, s3, photo_files):
    large = max(photo_files, key=lambda path: path.stat().st_size)
    s3.put("partly.jpg", large)
    s3.reset_counts()
    assert curl(node.url("/o/partly.jpg"), "-r", "5-9").body == large.read_bytes()[5:10]
    for width in (160, 640):
        assert photos.opened(curl(node.url(f"/i/-/w={width},f=jpeg/partly.jpg")).body).width == width
    reads = 1 if large.stat().st_size <= 1 << 20 else 2
    assert s3.gets("partly.jpg") == reads


def test_bad_operations_and_traversals_never_reach_s3(node, s3):
    s3.reset_counts()
    for path in ["/i/-/w=nope/x.jpg", "/i/-/unknown=1/x.jpg", "/i/-/w=1,w=2/x.jpg", "/o/..%2f..%2fetc/passwd", "/o/a%00b"]:
        assert curl(node.url(path), "--path-as-is").status == 400, path
    assert s3.all_gets() == 0
