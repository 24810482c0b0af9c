"""A directory as the origin: what is in it is served, what is not in it cannot be reached."""

import os
import socket
from email.utils import formatdate
from urllib.parse import quote

import pytest

from support import config
from support.client import curl

SECRET = b"outside the directory"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.txt").write_bytes(SECRET)
    path = tmp_path / "files"
    (path / "sub").mkdir(parents=True)
    (path / "a.jpg").write_bytes(b"jpeg" * 1000)
    (path / "sub" / "b c+d%41.txt").write_bytes(b"odd name")
    (path / "empty.txt").write_bytes(b"")
    (path / ".hidden").write_bytes(SECRET)
    (path / "link.txt").symlink_to("../secret.txt")
    (path / "absolute.txt").symlink_to(tmp_path / "secret.txt")
    (path / "up").symlink_to("..")
    (path / "ring").symlink_to("ring")
    os.mkfifo(path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(path, os.O_PATH)  # the path itself may be too long for an address
        listener.bind(f"/proc/self/fd/{here}/socket.jpg")
        os.close(here)
    return path


@pytest.fixture
def node(start_node, folder):
    origin = f'[origin.local]\ndirectory = "{folder}"\n'
    routes = [
        config.route("/i/*", images='"local"'),
        config.route("/o/*", origin='"local"'),
        config.route("/fresh/*", origin='"local"', cache='"off"'),
        config.route("/", gallery='"local"'),
    ]
    return start_node(config.node(config.UNSIGNED_IMAGES, origin, config.site(*routes)))


def test_nothing_outside_the_directory_can_be_read(node):
    names = ["../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt", ".%2e/secret.txt"]
    names += ["sub/../../secret.txt", "sub/..%2f..%2fsecret.txt", "..%5csecret.txt", "/etc/passwd", "%2fetc/passwd"]
    names += ["link.txt", "absolute.txt", "up/secret.txt", "up/files/a.jpg", "ring", "ring/x", ".hidden"]
    names += ["a.jpg%00.txt", "a.jpg%00", "%00", "..;/secret.txt", "....//secret.txt", "%252e%252e/secret.txt"]
    names += ["%c0%ae%c0%ae/secret.txt", "pipe.jpg", "socket.jpg", "sub", "sub/", "a.jpg/", "a.jpg/x", "", "."]
    names += ["x" * 5000, "sub/" * 500 + "a.jpg"]
    for name in names:
        for prefix in ("/o/", "/fresh/", "/i/-/original/", "/i/-/w=10/"):
            answer = curl(node.url(prefix + name), "--path-as-is")
            assert answer.status in (400, 404), (prefix + name, answer.status)
            assert SECRET not in answer.body
            assert b"root:" not in answer.body
    assert curl(node.url("/o/a.jpg")).status == 200


def test_names_are_decoded_once(node):
    for prefix in ("/o/sub/", "/fresh/sub/", "/i/-/original/sub/"):
        answer = curl(node.url(prefix + quote("b c+d%41.txt")))
        assert answer.status == 200
        assert answer.body == b"odd name"
    assert curl(node.url("/o/sub/" + quote("b c+dA.txt"))).status == 404


def test_a_file_has_its_date_its_tag_and_its_parts(node, folder):
    os.utime(folder / "a.jpg", (1_700_000_000, 1_700_000_000))
    for prefix in ("/o/", "/fresh/"):
        url = node.url(prefix + "a.jpg")
        whole = curl(url)
        assert whole.body == b"jpeg" * 1000
        assert whole.header("content-type") == "image/jpeg"
        assert whole.header("last-modified") == formatdate(1_700_000_000, usegmt=True)
        tag = whole.header("etag")
        assert curl(url, "-H", f"If-None-Match: {tag}").status == 304
        assert curl(url, "-H", f"If-Modified-Since: {formatdate(1_700_000_000, usegmt=True)}").status == 304
        assert curl(url, "-H", 'If-None-Match: "other"').status == 200
        assert curl(url, "-I").header("content-length") == "4000"
    part = curl(node.url("/o/a.jpg"), "-r", "4-7")
    assert (part.status, part.body, part.header("content-range")) == (206, b"jpeg", "bytes 4-7/4000")
    assert curl(node.url("/o/empty.txt")).header("content-length") == "0"


def test_a_changed_file_has_another_tag(node, folder):
    url = node.url("/fresh/a.jpg")
    before = curl(url).header("etag")
    (folder / "new.jpg").write_bytes(b"JPEG" * 1000)
    os.rename(folder / "new.jpg", folder / "a.jpg")
    after = curl(url)
    assert after.body == b"JPEG" * 1000
    assert after.header("etag") != before


def test_what_is_missing_has_a_page_and_a_reason(node, eventually):
    for path in ("/o/nothing.jpg", "/fresh/nothing.jpg", "/i/-/original/nothing.jpg"):
        for _ in range(2):
            answer = curl(node.url(path))
            assert answer.status == 404
            assert b"404 Not Found" in answer.body
            assert answer.header("content-type").startswith("text/html")
            assert "detail=not_found" in answer.cache_status
    log = node.directory / "access.log"
    eventually(lambda: log.read_text().count('"reason":"not_found"') == 6, 5, "the reason in the access log")


def test_files_and_the_gallery_are_only_read(node, folder):
    for path in ("/o/a.jpg", "/fresh/a.jpg", "/i/-/w=10/a.jpg", "/"):
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            answer = curl(node.url(path), "-X", method, "-d", "x")
            assert answer.status == 405, (method, path)
            assert answer.header("allow") == "GET, HEAD"
    assert (folder / "a.jpg").read_bytes() == b"jpeg" * 1000


def test_a_directory_that_is_gone_is_not_a_missing_photo(node, folder):
    url = node.url("/o/a.jpg")
    assert curl(url).status == 200
    os.rename(folder, folder.with_name("moved"))
    assert curl(node.url("/o/other.jpg")).status == 503
    assert curl(url).status == 200  # what the cache has goes on
    os.rename(folder.with_name("moved"), folder)
    assert curl(node.url("/fresh/a.jpg")).status == 200
