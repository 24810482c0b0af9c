"""Some seven hundred requests as bytes: what each is answered, what becomes of its connection, and that nothing
unclean gets to the origin. Behind each lies another request, which only a clean first one lets through."""

import os

import pytest

from support import config, photos
from support.process import rss_bytes
from support.raw import RawOrigin
from support.raw_cases import HOST, BEHIND, Case, bad, chunks, fields, get, good, host, line, post, wrong_cases

CONTROLS = [bytes([c]) for c in (*range(0, 9), 11, 12, *range(14, 32), 127)]


def lengths():
    both = b"Content-Length: 5", b"Transfer-Encoding: chunked"
    for first, second in (both, both[::-1], (b"content-length: 0", b"TRANSFER-ENCODING: chunked")):
        yield bad(post(first + b"\r\n" + second, b"0\r\n\r\n"))
        yield bad(post(first + b"\r\nX: y\r\n" + second, b"0\r\n\r\n"))
    for coding in (b"xchunked", b"chunkedx", b"chunked;x", b"chunked; q=1", b"chunked ;x=y", b"\x0bchunked",
                   b"\x0cchunked", b"\x01chunked", b"\xa0chunked", b"chunked\xa0", b"\x85chunked", b"chunked\0",
                   b'"chunked"', b"identity", b"", b" ", b",", b"chunked,", b",chunked", b"chunked,,", b" , chunked",
                   b"identity, chunked", b"chunked identity", b"chun ked", b"chunked\r\n ", b"chunked, gzip",
                   b"chunked, chunked", b"chunked,chunked", b"chunked, identity",
                   b"chunked\r\nTransfer-Encoding: chunked", b"chunked\r\nTransfer-Encoding: identity",
                   b"gzip\r\nTransfer-Encoding: chunked", b"\xef\xbd\x83hunked", b"chunked\x7f", b"(chunked)",
                   b"chunked/1"):
        yield bad(post(b"Transfer-Encoding: " + coding, b"0\r\n\r\n"))
    for coding in (b"gzip, chunked", b"gzip", b"deflate, chunked", b"compress", b"cow", b"x-custom, chunked"):
        yield bad(post(b"Transfer-Encoding: " + coding, b"0\r\n\r\n"), 501)
    for coding in (b"chunked", b"Chunked", b"CHUNKED", b"chunked ", b"\tchunked\t", b"   chunked"):
        yield good(post(b"Transfer-Encoding:" + coding, b"2\r\nhi\r\n0\r\n\r\n"))
    for value in (b"chunked", b"identity", b""):
        old = b"POST /a HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: " + value + b"\r\n"
        yield bad(old + b"\r\n0\r\n\r\n")
        yield bad(old + b"Connection: keep-alive\r\n\r\n0\r\n\r\n")
    for length in (b"+5", b"-5", b"0x5", b"5_0", b"5 0", b"five", b"", b" ", b"5.0", b"5e0", b"5,", b",5", b"5;",
                   b'"5"', b"\xef\xbc\x95", b"1" * 20, b"18446744073709551621", b"-0", b"+0", b"5\x0b", b"\x0c5",
                   b"5h", b"0b101", b"5,5", b"5, 5", b"5, 6", b"5\r\nContent-Length: 5", b"5\r\nContent-Length: 6",
                   b"5\r\ncontent-length: 5", b"5\r\n 5", b"\xa05", b"00000000000000000005"):
        yield bad(post(b"Content-Length: " + length, b"hello"))
    yield bad(post(b"Content-Length: 9999999999999999999", b"hello"), 413)
    for length in (b"5", b"05", b"0000000000000000005", b"5\t", b"\t 5 "):
        yield good(post(b"Content-Length:" + length, b"hello"))
    yield good(post(b"Content-Length: 0"))


def characters():
    for control in CONTROLS:
        yield bad(fields(b"X: a" + control + b"b"))
        yield bad(fields(b"X" + control + b"Y: a"))
        yield bad(get(b"/a" + control + b"b"))
    for c in b'(),/;<=>?@[\\]{}" \t':
        yield bad(fields(b"X" + bytes([c]) + b"Y: a"))
    for name in (b"\xc3\xa9", b"X\x80", b"", b" ", b"X ", b"X\t", b" X", b"\tX", b"Transfer-Encoding ",
                 b"Content-Length\t", b"\xa0X", b"Host "):
        yield bad(fields(name + b": y"))
    for text in (b"no colon", b"nocolon", b"X: a\r\n b", b"X: a\r\n\tb", b"X:\r\n b", b"X: a\r\n \r\n b", b":",
                 b"X: a\r\n:b", b"X: a\rb", b"X: a\r\rb", b"X\r: a", b"X: a\r", b"\rX: a", b"X: a\nY: b",
                 b"X: a\n\r\nY: b", b"X: a\n b", b"X:\n", b"X: a\r\n\n", b"=: a\r\n@: b"):
        yield bad(fields(text))
    for text in (b"X:", b"X:  \t ", b"X:y", b"X: y \t", b"X: \xc3\xa9\xff\x80", b"X: a\tb", b"!#$%&'*+.^`|~-Z0: y",
                 b"X: a:b:c", b'X: "quo,ted"', b"X_Y: dropped", b"Content_Length: 5", b"Transfer_Encoding: chunked",
                 b"X-Forwarded-For: 6.6.6.6", b"X-Real-IP: 6.6.6.6", b"Forwarded: for=6.6.6.6", b"Via: 1.1 a"):
        yield good(fields(text))
    for start in (b" Host: t.local\r\n", b"\tX: y\r\nHost: t.local\r\n", b"\r\n Host: t.local\r\n"):
        if not start.startswith(b"\r"):
            yield bad(b"GET /a HTTP/1.1\r\n" + start + b"\r\n")
    for data in (b"GET /a HTTP/1.1\nHost: t.local\r\n\r\n", b"GET /a HTTP/1.1\r\nHost: t.local\n\r\n",
                 b"GET /a HTTP/1.1\r\nHost: t.local\r\n\n", b"GET /a HTTP/1.1\nHost: t.local\n\n",
                 b"GET /a HTTP/1.1\r\r\nHost: t.local\r\n\r\n", b"GET /a HTTP/1.1\r\nHost: t.local\r\r\n\r\n",
                 b"GET /a HTTP/1.1\r\nHost: t.local\r\n\rX\n", b"GET /a HTTP/1.1\rHost: t.local\r\n\r\n",
                 b"GET /a\r\n HTTP/1.1\r\nHost: t.local\r\n\r\n"):
        yield bad(data)


def request_lines():
    for text in (b"GET\t/a HTTP/1.1", b"GET  /a HTTP/1.1", b"GET /a  HTTP/1.1", b" GET /a HTTP/1.1",
                 b"GET /a HTTP/1.1 ", b"GET /a HTTP/1.1 x", b"GET HTTP/1.1", b"GET  HTTP/1.1", b"GET /a", b"GET",
                 b"/a", b"HTTP/1.1", b"GET /a\tHTTP/1.1", b"GET /a b HTTP/1.1", b"GET /a HTTP/0.9",
                 b"GET /a HTTP/01.1", b"GET /a HTTP/1.01", b"GET /a HTTP/1.", b"GET /a HTTP/1", b"GET /a HTTP/.1",
                 b"GET /a HTTP/1.10", b"GET /a HTTP/1,1", b"GET /a HTTP/A.B", b"GET /a http/1.1", b"GET /a Http/1.1",
                 b"GET /a HTTPS/1.1", b"GET /a HTTP/-1.1", b"GET /a HTTP /1.1", b"GET /a ICY/1.0", b"get /a HTTP/1.1",
                 b"Get /a HTTP/1.1", b"G\0T /a HTTP/1.1", b"G@T /a HTTP/1.1", b"GET: /a HTTP/1.1",
                 b"\xc7ET /a HTTP/1.1", b"{GET} /a HTTP/1.1", b"HTTP/1.1 200 OK",
                 b"\x16\x03\x01\x02", b"\0\0\0\0"):
        yield bad(line(text))
    yield bad(line(b"G" * 33 + b" /a HTTP/1.1"), 501)
    for text in (b"GET /a HTTP/2.0", b"GET /a HTTP/3.0", b"GET /a HTTP/9.9"):
        yield bad(line(text), 505)
    yield good(line(b"GET /a HTTP/1.2"))
    yield good(line(b"GET /a HTTP/1.9"))
    yield bad(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)
    for method in (b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"PROPFIND", b"M-SEARCH", b"BREW"):
        yield good(line(method + b" /a HTTP/1.1"))
    yield good(line(b"HEAD /a HTTP/1.1"), head_only=True)
    for target in (b"t.local:80", b"t.local", b"*", b"a", b"./a", b"?a", b"#", b"/a#b", b"/a\\b", b"\\a", b"/\xc3\xa9",
                   b"/a%", b"/a%4", b"/a%zz", b"/a?%zz", b"/a?%", b"/a?b#c", b"/a<b", b'/a"b', b"/a>b", b"/a^b",
                   b"/a`b", b"/a{b}", b"http://", b"http:///a", b"http:/a", b"http:a", b"ftp://t.local/a",
                   b"javascript:a", b"http://other/a", b"http://t.local:81/a", b"http://u@t.local/a",
                   b"http://t.local@other/a", b"http://t.local\\/a", b"http://t.local#/a", b"file:///etc/passwd",
                   b"https://t.local.evil/a", b"ws://t.local/a"):
        yield bad(get(target))
    for target in (b"http://t.local/a", b"HTTP://T.LOCAL/a", b"https://t.local/a", b"http://t.local",
                   b"http://t.local?a", b"//a", b"/a//b", b"/a;p=1", b"/a;jsessionid=1/../b", b"/a/./b/../c",
                   b"/a%2fb", b"/a%5cb", b"/%41", b"/a?b?c", b"/a?..", b"/a?%00", b"/a?", b"/~a", b"/a:b@c!$&'()*+,=",
                   b"/a?[]", b"/a%20b", b"/a%0d%0aX:%20y", b"/?http://x/", b"/" + b"a/" * 3000, b"/a|b",
                   b"//t.local:x:y@/../.."):
        yield good(get(target))
    # Well formed, so the connection stays; but no path that anybody may ask for.
    for target in (b"/%00", b"/a%00.jpg", b"/..", b"/../a", b"/a/../..", b"/%2e%2e/a", b"/.%2e/a", b"/a/%2e./../../b"):
        yield good(get(target), 400)
    yield good(line(b"OPTIONS * HTTP/1.1"))
    yield bad(b"CONNECT t.local:443 HTTP/1.1\r\n" + HOST + b"\r\n", 405)
    yield bad(b"CONNECT / HTTP/1.1\r\n" + HOST + b"\r\n", 405)
    for count in range(3):
        yield good(b"\r\n" * count + get(b"/a"))
    yield bad(b"\r\n" * 3 + get(b"/a"))
    for start in (b"\n", b"\r\r\n", b" \r\n", b"\r", b"\0", b"\r\n\n", b"\xef\xbb\xbf"):
        yield bad(start + get(b"/a"))
    yield bad(get(b"/" + b"x" * 8192), 414)
    yield bad(b"GET /" + b"x" * 100_000, 414)
    yield bad(b"X" * 20_000, 414)


def hosts():
    for value in (b"", b" ", b"a b", b"a,b", b"u@a", b"u:p@a", b"a/b", b"a/", b"a:99999", b"a:x", b"a:-1", b"a:80:80",
                  b":80", b"[::1", b"::1", b"[zz]", b"[::1]x", b"[]", b"[::1%25lo]", b"a..b", b".a", b".", b"a?b",
                  b"a#b", b"a%41", b"a\\b", b"*", b"a\tb", b"\xc3\xa9", b"a;b", b"a&b", b"a'b", b"http://a", b"x" * 64,
                  b"a." * 130 + b"a", b"[::ffff:1.2.3.4.5]", b"a:+80", b"a: 80", b"a\0", b"a\r\nHost: a",
                  b"a\r\nHost: b", b"a\r\nhost: a", b"a\r\nHOST:", b"a\r\n b"):
        yield bad(host(value))
    for value in (b" t.local", b"t.local", b"\tt.local \t", b"T.Local", b"t.local:80", b"t.local:65535", b"[::1]",
                  b"[::1]:8080", b"127.0.0.1", b"[::ffff:1.2.3.4]", b"t.local.", b"t.local.:80", b"a-b.c",
                  b"xn--bcher-kva.example", b"x" * 63 + b".a"):
        yield good(host(value))
    yield bad(b"GET /a HTTP/1.1\r\n\r\n")
    yield bad(b"GET /a HTTP/1.1\r\nX: y\r\n\r\n")
    yield bad(b"GET http://t.local/a HTTP/1.1\r\n\r\n")
    yield bad(b"GET /a HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n")
    yield Case(b"GET /a HTTP/1.0\r\n\r\n", 200)
    yield Case(b"GET /a HTTP/1.0\r\n" + HOST + b"\r\n", 200)
    yield good(b"GET /a HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n\r\n")


def bodies():
    for size in (b"0x5", b"+5", b"-5", b"5_", b" 5", b"5 ", b"\t5", b"5\t", b"", b"1" + b"0" * 15, b"g", b"5.", b"5h",
                 b"\xef\xbc\x95", b"5\0", b"\0" + b"5", b"5,", b"5 ;a", b"5\r", b"\n5", b"0000000000000005",
                 b"ffffffffffffffff"):
        yield bad(chunks(size + b"\r\nhello\r\n0\r\n\r\n"))
    for body in (b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\r\n0\n\r\n",
                 b"5\r\nhello\r\n0\r\n\n", b"5\rhello\r\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n",
                 b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n", b"5\r\nhello\r\n\r\n0\r\n\r\n",
                 b"4\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX\r\n\r\n", b"5\r\nhello\r\n0\r\n: x\r\n\r\n",
                 b"0\r\nX : y\r\n\r\n", b"0\r\n X: y\r\n\r\n", b"0\r\nX: y\r\n z\r\n\r\n", b"0\r\nX: a\0\r\n\r\n",
                 b"0\r\nX: a\x01\r\n\r\n", b"0\r\nX: a\rb\r\n\r\n", b"0\r\nX: a\nY: b\r\n\r\n",
                 b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\nHost: evil\r\n\r\n",
                 b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
                 b"0\r\n" + b"X: y\r\n" * 33 + b"\r\n", b"5;" + b"x" * 257 + b"\r\nhello\r\n0\r\n\r\n",
                 (b"1;" + b"x" * 200 + b"\r\nx\r\n") * 25 + b"0\r\n\r\n", b"5;a\rb\r\nhello\r\n0\r\n\r\n",
                 b"5;a\nb\r\nhello\r\n0\r\n\r\n", b"5;a\x01\r\nhello\r\n0\r\n\r\n", b"5;\r\nhello\r\n0\r\n\r\n",
                 b'5;a="b\r\nhello\r\n0\r\n\r\n', b"5;a=\r\nhello\r\n0\r\n\r\n", b"5;=b\r\nhello\r\n0\r\n\r\n",
                 b'5;a="\n"\r\nhello\r\n0\r\n\r\n'):
        yield bad(chunks(body))
    for body in (b"5\r\nhello\r\n0\r\n\r\n", b"000000000000005\r\nhello\r\n000\r\n\r\n",
                 b"A\r\n0123456789\r\n0\r\n\r\n", b"a\r\n0123456789\r\n0\r\n\r\n", b"0\r\n\r\n",
                 b"5;a=b;c\r\nhello\r\n0;last\r\n\r\n", b'1;a="\\"x;y"\r\nx\r\n0\r\n\r\n',
                 b"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n", b"1\r\nx\r\n" * 2000 + b"0\r\n\r\n",
                 b"7\r\n0\r\n\r\nGE\r\n0\r\n\r\n"):
        yield good(chunks(body))
    inner = b"POST /inner HTTP/1.1\r\nHost: t.local\r\n\r\n"
    yield good(post(b"Content-Length: %d" % len(inner), inner))
    yield good(chunks(b"%x\r\n" % len(inner) + inner + b"\r\n0\r\n\r\n"))
    for method in (b"GET", b"DELETE", b"OPTIONS", b"PUT"):
        yield good(fields(b"Content-Length: %d" % len(inner), method) + inner)
        yield good(fields(b"Transfer-Encoding: chunked", method) + b"2\r\nhi\r\n0\r\n\r\n")
    yield good(fields(b"Content-Length: %d" % len(inner), b"HEAD") + inner, head_only=True)
    yield bad(post(b"Content-Length: 3000000", b"x" * 1000), 413)
    yield bad(chunks(b"fffffff\r\n" + b"x" * 1000), 408)  # its chunk never comes
    yield bad(chunks(b"10000\r\n" + b"x" * 0x10000 + b"\r\n" + b"100000\r\n" + b"x" * 0x100000), 413)


def meanings():
    for value in (b"100-continue, x", b"200-ok", b"x", b"", b"100-continue;a", b"100-continue\r\nExpect: 100-continue",
                  b"100", b"100-continue,"):
        yield bad(post(b"Content-Length: 5\r\nExpect: " + value, b"hello"), 417)
    for value in (b"100-continue", b"100-Continue", b" 100-CONTINUE "):
        yield good(post(b"Content-Length: 5\r\nExpect:" + value, b"hello"))
        yield good(fields(b"Expect:" + value))
        yield good(post(b"Transfer-Encoding: chunked\r\nExpect:" + value, b"0\r\n\r\n"))
    for name in (b"Host", b"host", b"Content-Length", b"Transfer-Encoding", b"Cookie", b"Authorization",
                 b"X-Forwarded-For", b"X-Forwarded-X"):
        yield bad(fields(b"Connection: " + name))
        yield bad(fields(b"Connection: keep-alive,\t" + name))
        yield bad(fields(b"Connection: keep-alive\r\nConnection: " + name))
    for value in (b"keep-alive", b"Keep-Alive", b"X-Hop\r\nX-Hop: 1", b"TE\r\nTE: trailers",
                  b"Upgrade\r\nUpgrade: h2c", b"Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA",
                  b"upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a", b", ,keep-alive,", b""):
        yield good(fields(b"Connection: " + value))
    for value in (b"close", b"Close", b"keep-alive, close", b"keep-alive\r\nConnection: close",
                  b"close, X-Hop\r\nX-Hop: 1"):
        yield Case(fields(b"Connection: " + value), 200)
    yield Case(fields(b"CDN-Loop: vignette"), 508, keeps=True)
    yield good(fields(b"CDN-Loop: other"))
    yield bad(fields(b"X: " + b"x" * 33_000), 431)
    yield bad(fields(b"\r\n".join(b"X%d: y" % n for n in range(100))), 431)
    yield bad(b"GET /a HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 400_000, 431)
    yield good(fields(b"\r\n".join(b"X%d: y" % n for n in range(99))))
    yield good(fields(b"X: " + b"x" * 31_000))


def refused_with_body():
    """Answered before the body was read: the connection closes, and the body is not taken for a request."""
    for target in (b"/deny", b"/move", b"/i/-/w=1/x.jpg", b"/o/x.jpg"):
        start = b"POST " + target + b" HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(BEHIND)
        status = {b"/deny": 403, b"/move": 308}.get(target, 405)
        yield Case(start + BEHIND, status)
        yield Case(start, status)


def files():
    for target, status in ((b"/o/photo.jpg", 200), (b"/o/none.jpg", 404), (b"/o/", 404), (b"/o", 200),
                           (b"/o/photo.jpg/", 404), (b"/o/photo.jpg/x", 404), (b"/o/sub%2fphoto.jpg", 404),
                           (b"/o/link", 404), (b"/o/sub/",
                           404), (b"/o/sub", 404), (b"/o/a%0ab", 404), (b"/o/" + b"a" * 300, 404),
                           (b"/o/" + b"a/" * 2000, 404), (b"/o/..%5c..%5cetc", 400), (b"/o/photo.jpg?x=1", 200),
                           (b"/o/photo.jpg;x", 404), (b"/o//etc/passwd", 404), (b"/o/.hidden", 404)):
        yield good(get(target), status)
    for value in (b"bytes=0-0", b"bytes=-1", b"bytes=5-", b"BYTES=0-1", b"bytes=0-99999999999999999999"):
        yield good(b"GET /o/photo.jpg HTTP/1.1\r\n" + HOST + b"Range: " + value + b"\r\n\r\n", (206, 200))
    for value in (b"bytes=9999999999-", b"bytes=99999999999999999999-", b"bytes=-0"):
        yield good(b"GET /o/photo.jpg HTTP/1.1\r\n" + HOST + b"Range: " + value + b"\r\n\r\n", (416, 200))
    for value in (b"bytes=1-0", b"bytes=", b"bytes", b"bytes=a-b", b"bytes=0-1,3-4", b"bytes=" + b"0-," * 5000,
                  b"lines=0-1", b"bytes=--1", b"bytes=0-1-2", b"bytes 0-1", b"", b"bytes=0-1\r\nRange: bytes=0-2",
                  b"bytes=0x0-1", b"bytes=+0-1"):
        yield good(b"GET /o/photo.jpg HTTP/1.1\r\n" + HOST + b"Range: " + value + b"\r\n\r\n", (200, 416))
    for name, value, status in ((b"If-None-Match", b"*", 304), (b"If-None-Match", b'"x"', 200), (b"If-None-Match",
        b'"x', 200), (b"If-None-Match", b'W/"x", "y" , ,"z"', 200), (b"If-None-Match", b'"' + b"x" * 20000 + b'"',
        200), (b"If-Match", b"*", 200), (b"If-Match", b'"x"', 412), (b"If-Match", b'W/"x"', 412),
        (b"If-Modified-Since", b"garbage", 200), (b"If-Modified-Since", b"Thu, 01 Jan 1970 00:00:00 GMT", 200),
        (b"If-Modified-Since", b"Fri, 31 Dec 9999 23:59:59 GMT", 304), (b"If-Modified-Since",
        b"Sat, 99 Xyz 2020 99:99:99 GMT", 200), (b"If-Unmodified-Since", b"Thu, 01 Jan 1970 00:00:00 GMT", 412),
        (b"If-Unmodified-Since", b"x", 200)):
        yield good(b"GET /o/photo.jpg HTTP/1.1\r\n" + HOST + name + b": " + value + b"\r\n\r\n", status)


def images():
    for operations in (b"w=0", b"w=-1", b"w=", b"w", b"w=1e3", b"w=99999999", b"w=18446744073709551617", b"w=1,w=2",
                       b"x=1", b"w=1.5", b"=", b",", b"w=10,", b",w=10", b"w=10,,h=10", b"fit=x", b"q=0", b"q=101",
                       b"f=exe", b"w%3d10%00", b"w=%2b10", b"p:none", b"original,w=10", b"info,w=1", b"w=10&h=10",
                       b"w=" + b"1" * 3000):
        yield good(get(b"/i/-/" + operations + b"/photo.jpg"), 400)
    for target in (b"/i/", b"/i/-", b"/i/-/", b"/i/-/w=10", b"/i/x/w=10/photo.jpg", b"/i/k1.AAAA/w=10/photo.jpg",
                   b"/i//w=10/photo.jpg", b"/i/-/w=10/", b"/i/%00", b"/i/-/w=10/none.jpg",
                   b"/i/-/w=10/..%2f..%2fetc%2fpasswd", b"/i/-/w=10/link"):
        yield Case(get(target), (400, 403, 404), keeps=True)
    yield good(get(b"/i/-/w=10/photo.jpg"))
    yield good(get(b"/i/-/w=16384,h=16384,fit=fill/photo.jpg"), (200, 400, 413, 422))


def corpus():
    for group in (lengths, characters, request_lines, hosts, bodies, meanings, refused_with_body, files, images):
        yield from group()


@pytest.fixture
def origin():
    server = RawOrigin()
    yield server
    server.stop()


@pytest.fixture
def node(start_node, tmp_path, origin):
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    (folder / "photo.jpg").write_bytes(photos.with_position(photos.picture(320, 240)))
    (folder / "link").symlink_to("/etc/passwd")
    routes = [
        config.route("/i/*", images='"local"'),
        config.route("/o/*", origin='"local"'),
        config.route("/deny", origin='"app"', deny='["127.0.0.0/8"]'),
        config.route("/move", redirect='{ to = "/a", status = 308 }'),
        config.route("/*", origin='"app"', max_body='"1MiB"'),
    ]
    local = f'[origin.local]\ndirectory = "{folder}"\n'
    times = '[timeouts]\nheader = "5s"\nbody_stall = "1s"\n'
    return start_node(config.node(config.UNSIGNED_IMAGES, times, local, config.app_origin([origin]),
                      config.site(*routes)))


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_every_raw_request_gets_its_answer_and_nothing_unclean_reaches_the_origin(node, origin, eventually):
    cases = list(corpus())
    assert len(cases) >= 500
    wrong = wrong_cases(cases, node.http())
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong)
    assert not origin.unclean, origin.unclean
    # Nothing but what clean cases asked for: a body is never a request, and a refused request never an answer.
    assert not [target for target in origin.targets() if "inner" in target]
    assert origin.targets().count("/behind") == sum(case.keeps for case in cases)
    assert node.status() and node.metric("vignette_refusals_total") > 0
    # Once more: what the first round took stays taken, and no more.
    files, memory = open_files(node.pid), rss_bytes(node.pid)
    assert not wrong_cases(cases, node.http())
    eventually(lambda: open_files(node.pid) <= files + 16, 5, "the descriptors are back")
    assert rss_bytes(node.pid) < memory + (24 << 20)
