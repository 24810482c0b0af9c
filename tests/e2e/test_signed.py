"""Signed image URLs: made here with Python's hmac, believed or refused by the node before it fetches anything."""

import base64
import hashlib
import hmac
import subprocess
import time

import pytest

from support import config, photos, places
from support.client import curl

OLD, NEW = b"0123456789abcdef-old", b"0123456789abcdef-new"


def digest(path, secret, size=32):
    mac = hmac.new(secret, path.encode(), hashlib.sha256).digest()[:size]
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def signed(path, secret=NEW, key_id=None, **options):
    """/i/<sig>/<ops>/<key>; a query in `path` is signed with it."""
    prefix = f"{key_id}." if key_id else ""
    return f"/i/{prefix}{digest(path, secret, **options)}{path}"


@pytest.fixture(params=["off", "presets"])
def node(request, start_node, s3, photo_files, tmp_path):
    s3.put("a.jpg", photo_files[0])
    s3.put("b%20c%40d.jpg", photo_files[1])
    (tmp_path / "old.secret").write_bytes(OLD + b"\n")
    images = f"""[images]
unsigned = "{request.param}"
keys = [{{ id = "new", secret_env = "IMAGE_KEY" }}, {{ id = "old", secret_file = "{tmp_path}/old.secret" }}]
presets = {{ thumb = "w=150,h=150,fit=cover" }}
"""
    setup = config.node(images, config.s3_origin(s3), config.site(config.route("/i/*", images='"photos"')))
    node = start_node(setup, {**s3.environment(), "IMAGE_KEY": NEW.decode()})
    node.presets_are_open = request.param == "presets"
    s3.reset_counts()
    return node


def test_a_signature_of_any_live_key_is_believed(node):
    soon = int(time.time()) + 3600
    for url in [
        signed("/w=100/a.jpg"),
        signed("/w=100/a.jpg", OLD),
        signed("/w=100/a.jpg", OLD, key_id="old"),
        signed("/w=100/a.jpg", NEW, key_id="new"),
        signed("/w=100/a.jpg", size=16),
        signed("/w=100/a.jpg@webp"),
        signed("/p:thumb/a.jpg"),
        signed("/w=100/b%20c%40d.jpg"),
        signed("/info/a.jpg"),
        signed("/original/a.jpg"),
        signed(f"/w=100/a.jpg?e={soon}"),
        signed(f"/w=100/a.jpg?e={soon}") + "&v=2",
    ]:
        answer = curl(node.url(url))
        assert answer.status == 200, (url, answer.body)
    assert photos.opened(curl(node.url(signed("/w=100/a.jpg"))).body).width == 100


def sign(*arguments, expect=0):
    done = subprocess.run([places.binary(), "sign", *map(str, arguments)], capture_output=True, text=True, timeout=20)
    assert done.returncode == expect, done.stdout + done.stderr
    return (done.stdout + done.stderr).strip()


def test_what_the_command_signs_is_believed(node, tmp_path):
    secret = tmp_path / "old.secret"
    for options in (["--secret-file", secret], ["--secret-file", secret, "--key-id", "old", "--expires", 600]):
        url = sign("/i/-/w=100/b%20c%40d.jpg@webp?v=2", *options)
        answer = curl(node.url(url))
        assert answer.status == 200, (url, answer.body)
        assert curl(node.url(url.replace("w=100", "w=200"))).status == 403
    assert "has no place for a signature" in sign("/i/w=100/a.jpg", "--secret-file", secret, expect=1)
    assert "cannot be read" in sign("/i/-/w=100/a.jpg", "--secret-file", tmp_path / "none", expect=1)


def test_a_signature_for_something_else_is_403_and_nothing_is_fetched(node, s3):
    now = int(time.time())
    good = digest("/w=100/a.jpg", NEW)
    flipped = ("A" if good[0] != "A" else "B") + good[1:]
    for url in [
        "/i/-/w=100/a.jpg",
        "/i/-/original/a.jpg",
        "/i/-/info/a.jpg",
        f"/i/{flipped}/w=100/a.jpg",
        f"/i/{good}/w=101/a.jpg",
        f"/i/{good}/w=100/b.jpg",
        f"/i/{good}/original/a.jpg",
        f"/i/{good}/w=100/a.jpg@webp",
        f"/i/{good}/w=100/a.jpg?e={now + 100}",
        f"/i/{good[:10]}/w=100/a.jpg",
        f"/i/{good}AA/w=100/a.jpg",
        f"/i/{good}=/w=100/a.jpg",
        f"/i/nobody.{good}/w=100/a.jpg",
        f"/i/old.{good}/w=100/a.jpg",
        f"/i/.{good}/w=100/a.jpg",
        "/i/new./w=100/a.jpg",
        signed("/w=100/a.jpg", b"0123456789abcdef-bad"),
        signed("/w=100/a.jpg", size=15),
        signed("/w=100/a.jpg?e=1"),
        signed(f"/w=100/a.jpg?e={now - 1}"),
        signed(f"/w=100/a.jpg?e={now + 100}").replace(str(now + 100), str(now + 9999)),
        signed(f"/w=100/a.jpg?e={now + 100}").partition("?")[0],
    ]:
        answer = curl(node.url(url))
        assert answer.status == 403, (url, answer.status, answer.body)
        assert "detail=image_forbidden" in answer.cache_status
    assert s3.all_gets() == 0


def test_only_a_preset_alone_may_be_open_to_everybody(node, s3):
    assert curl(node.url("/i/-/p:thumb/a.jpg")).status == (200 if node.presets_are_open else 403)
    for path in ("/i/-/p:thumb,w=100/a.jpg", "/i/-/w=150,h=150,fit=cover/a.jpg"):
        assert curl(node.url(path)).status == 403, path
    assert s3.all_gets() == (1 if node.presets_are_open else 0)


def test_a_picture_that_is_cached_still_needs_its_signature(node):
    path = "/w=200/a.jpg"
    assert curl(node.url(signed(path))).status == 200
    assert curl(node.url("/i/-" + path)).status == 403
    over = int(time.time()) - 5
    assert curl(node.url(signed(f"{path}?e={over}"))).status == 403
