"""Answers of app servers compressed for clients, with curl and zstd as the witnesses that they can be read."""

import gzip
import subprocess

import pytest

from support import config
from support.client import curl

PAGE = "".join(f"<p>{i} {i * 7919}</p>\n" for i in range(1200)).encode()
CODINGS = ["zstd", "br", "gzip"]


@pytest.fixture
def node(start_node, apps):
    routes = [config.route("/*", origin='"app"')]
    return start_node(config.node(config.app_origin(apps[:1]), config.site(*routes)))


def pages_made(node):
    return int(curl(node.url("/counts")).body.split(b'"GET /page": ')[1].split(b",")[0].rstrip(b"}"))


@pytest.mark.parametrize("coding", CODINGS)
def test_curl_reads_each_coding_from_the_server_and_from_the_cache(node, coding):
    asked = ("--compressed", "-H", f"Accept-Encoding: {coding}")
    first = curl(node.url("/page?cache=60"), *asked)
    made = pages_made(node)
    second = curl(node.url("/page?cache=60"), *asked)
    assert first.body == second.body == PAGE
    assert pages_made(node) == made and "; hit" in second.cache_status
    for answer in (first, second):
        assert answer.header("content-encoding") == coding
        assert answer.header("etag") == 'W/"page"'
        assert answer.header("vary") == "Accept-Encoding"
    assert int(second.header("content-length")) < len(PAGE) / 2


def test_what_curl_likes_best_is_what_it_gets(node):
    first = curl(node.url("/page"), "--compressed", "-H", "Accept-Encoding: zstd;q=0.1, br;q=0.5, gzip;q=0.9")
    assert first.header("content-encoding") == "gzip" and first.body == PAGE
    assert curl(node.url("/page"), "--compressed").header("content-encoding") == "zstd"
    assert curl(node.url("/page"), "-H", "Accept-Encoding: gzip;q=0, *;q=0").body == PAGE


def test_the_bytes_are_those_of_the_named_program(node):
    raw = curl(node.url("/page"), "-H", "Accept-Encoding: gzip").body
    assert gzip.decompress(raw) == PAGE
    raw = curl(node.url("/page"), "-H", "Accept-Encoding: zstd").body
    assert subprocess.run(["zstd", "-d"], input=raw, capture_output=True, check=True).stdout == PAGE


def test_a_post_is_compressed_and_a_head_says_what_its_get_says(node):
    answer = curl(node.url("/page"), "--compressed", "-d", "x=1")
    assert answer.header("content-encoding") == "zstd" and answer.body == PAGE
    head = curl(node.url("/page"), "-I", "-H", "Accept-Encoding: br")
    assert head.header("content-encoding") == "br" and head.header("content-length") is None


def test_a_client_that_has_the_page_is_told_so_by_app_and_cache(node):
    for url in ("/page", "/page?cache=60", "/page?cache=60"):
        answer = curl(node.url(url), "-H", "Accept-Encoding: gzip", "-H", 'If-None-Match: W/"page"')
        assert answer.status == 304 and answer.header("etag") == 'W/"page"'


def test_gzip_that_nobody_asked_for_is_undone(node):
    for _ in range(2):
        answer = curl(node.url("/page?gzip=1&cache=60"))
        assert answer.header("content-encoding") is None and answer.body == PAGE
    answer = curl(node.url("/page?gzip=1&cache=60"), "-H", "Accept-Encoding: gzip")
    assert answer.header("content-encoding") == "gzip" and gzip.decompress(answer.body) == PAGE


def test_short_and_binary_answers_are_left_alone(node):
    for path in ("/hello", "/size/100000"):
        answer = curl(node.url(path), "-H", "Accept-Encoding: gzip, br, zstd")
        assert answer.header("content-encoding") is None and answer.header("vary") is None
