"""The grammar of requests (RFC 9112, 9110, 3986) byte by byte: every byte in every place, every cut, every way to say
a length twice; and what of the clean ones arrives at the origin."""

import itertools

import pytest

from support import config
from support.raw import RawClient, RawOrigin
from support.raw_cases import BEHIND, HOST, Case, bad, chunks, fields, get, good, host, line, post, wrong_cases

BYTES = [bytes([c]) for c in range(256)]
UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOWER = UPPER.lower()
DIGITS = b"0123456789"
TOKEN = UPPER + LOWER + DIGITS + b"!#$%&'*+-.^_`|~"
PATH = UPPER + LOWER + DIGITS + b"-._~!$&'()*+,;=:@/|[]?"  # browsers leave | [ ] raw
QUERY = PATH + b"{}^`"
NONE = b""  # no case
VALUE = bytes([9, *range(32, 127), *range(128, 256)])


def one_of(allowed, make, status=400):
    """For each byte a case: fine where the byte is one of `allowed`, else refused."""
    for byte in BYTES:
        yield good(make(byte)) if byte in [bytes([c]) for c in allowed] else bad(make(byte), status)


def every_byte():
    yield from one_of(set(TOKEN) - set(LOWER), lambda c: line(b"G" + c + b"T /a HTTP/1.1"))
    yield from one_of(set(TOKEN) - set(LOWER), lambda c: c + line(b"GET /a HTTP/1.1"))
    yield from one_of(PATH, lambda c: get(b"/a" + c + b"zz"))
    yield from one_of(QUERY, lambda c: get(b"/a?" + c + b"zz"))
    yield from one_of(UPPER + LOWER + DIGITS + b"-_.", lambda c: host(b" a" + c + b"b"))
    yield from one_of(TOKEN + b":", lambda c: fields(b"X" + c + b"Y: z"))
    yield from one_of(TOKEN, lambda c: fields(c + b": z"))
    yield from one_of(VALUE, lambda c: fields(b"X: a" + c + b"b"))
    yield from one_of(VALUE, lambda c: fields(b"X:" + c))
    yield from one_of(TOKEN + b",", lambda c: fields(b"Connection: x" + c + b"y"))
    yield from one_of(b" \t", lambda c: NONE if c in DIGITS else post(b"Content-Length: 2" + c, b"hi"))
    yield from one_of(b" \t", lambda c: NONE if c in DIGITS else post(b"Content-Length: " + c + b"2", b"hi"))
    yield from one_of(TOKEN + b";=", lambda c: chunks(b"2;x" + c + b"y\r\nhi\r\n0\r\n\r\n"))
    yield from one_of(set(VALUE) - set(b'"'), lambda c: chunks(b'2;x="a' + c + b'b"\r\nhi\r\n0\r\n\r\n'))
    yield from one_of(b"2", lambda c: NONE if c in b"013456789abcdefABCDEF" else chunks(c + b"\r\nhi\r\n0\r\n\r\n"))
    yield from one_of(b";", lambda c: chunks(b"2" + c + b"x\r\nhi\r\n0\r\n\r\n"))
    yield from one_of(TOKEN + b":", lambda c: chunks(b"0\r\nX" + c + b"Y: z\r\n\r\n"))
    yield from one_of(VALUE, lambda c: chunks(b"0\r\nX: a" + c + b"b\r\n\r\n"))
    # A coding that is not known is 501, a broken one 400; what would be chunked with a careless eye is never taken.
    for make in (lambda c: c + b"chunked", lambda c: b"chunked" + c, lambda c: b"chun" + c + b"ked"):
        for byte in BYTES:
            data = post(b"Transfer-Encoding: " + make(byte), b"0\r\n\r\n")
            clean = byte in (b" ", b"\t") and make(byte) != b"chun" + byte + b"ked"
            yield good(data) if clean else bad(data, (400, 501))


def versions():
    for place, byte in itertools.product(range(8), b"\0\t\r\n 0123456789.,/:hHtTpPx\x80\xff"):
        version = bytearray(b"HTTP/1.1")
        version[place] = byte
        text = bytes(version)
        known = text[:7] == b"HTTP/1." and text[7:8].isdigit()
        major = text[:5] == b"HTTP/" and text[5:6] in b"23456789" and text[6:] == b".1"
        data = line(b"GET /a " + text)
        if known:
            yield good(data) if text[7:] != b"0" else Case(data, 200)
        else:
            yield bad(data, 505 if major else 400)
    for text in (b"", b"H", b"HTTP", b"HTTP/", b"HTTP/1", b"HTTP/1.", b"HTTP/1.1.1", b"HTTP/1.1/1.1", b"HTTP/10.1",
                 b"HTTP/1.11", b"HTTP/+1.1", b"HTTP/1.+1", b"HTTP/0.0", b"HTTP/0.1", b"HTTP/2", b"HTTP/3", b"h2", b"h2c",
                 b"SPDY/3.1", b"RTSP/1.0", b"SIP/2.0", b"HTTP/1.1;x", b"HTTP/1.1,HTTP/1.0", b"HTTP/\xd9\xa1.\xd9\xa1",
                 b"HTTP%2F1.1", b'"HTTP/1.1"', b"HTTP/1.1#", b"HTTP/1.1?", b"HTTP/1.1\\r"):
        yield bad(line(b"GET /a " + text))
    # An HTTP/1.0 client gets no chunks and, unless it asks, no second answer.
    yield Case(b"GET /chunks HTTP/1.0\r\n" + HOST + b"\r\n", 200)
    yield Case(b"GET /chunks HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n\r\n", 200)  # its end is the end
    yield good(b"POST /a HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\nContent-Length: 2\r\n\r\nhi")
    yield good(b"POST /a HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\nExpect: 100-continue\r\n"
               b"Content-Length: 2\r\n\r\nhi")
    yield Case(b"POST /a HTTP/1.0\r\n" + HOST + b"Content-Length: 2\r\n\r\nhi", 200)
    yield Case(b"GET /a HTTP/1.0\r\n" + HOST + b"Connection: keep-alive, close\r\n\r\n", 200)


def targets():
    for target in (b"http://t.local:80/a", b"http://t.local:/a", b"https://t.local:443/a", b"hTTp://t.local/a",
                   b"http://t.local/", b"http://t.local/?", b"http://T.LOCAL?x=y", b"http://t.local/a//b?c",
                   b"/http://other/", b"/a?http://other/", b"/:80", b"/@other", b"///", b"/%2F", b"/%2f%2F", b"/%5C",
                   b"/a%0Ab", b"/%c3%a9", b"/%ff", b"/a%23b", b"/a%3Fb", b"/.a", b"/..a", b"/a..", b"/a.../b", b"/.../",
                   b"/a;../b", b"/a/..;/b", b"/a?/../..", b"/a?%", b"/a?a=%4"):
        # An incomplete escape is one in the query, too.
        yield bad(get(target)) if target.endswith((b"?%", b"%4")) else good(get(target))
    for target in (b"http://t.local:81/a", b"http://t.local:443/a", b"https://t.local:80/a", b"http://t.local:0/a",
                   b"http://t.local:65536/a", b"http://t.local:x/a", b"http://t.local:080/a", b"http://t.local::80/a",
                   b"http://@t.local/a", b"http://:@t.local/a", b"http://u:p@t.local/a", b"http://t.local%40/a",
                   b"http://t.local@/a", b"http://t.local,other/a", b"http://t%2elocal/a", b"http://t.local%00/a",
                   b"http://[t.local]/a", b"http://[::1/a", b"http://[::1]/a", b"http:////t.local/a", b"http:/t.local/a",
                   b"http:\\\\t.local\\a", b"http//t.local/a", b"://t.local/a", b"//", b"*", b"*/a", b"/*#", b"**",
                   b"t.local:80", b"t.local:80/a", b"http", b"http:", b"https:t.local", b"about:blank", b"urn:a:b",
                   b"mailto:a@t.local", b"unix:/run/a.sock", b"ws://t.local/a", b"wss://t.local/a", b"gopher://t.local/",
                   b"http+unix://t.local/a", b"http ://t.local/a", b"view-source:http://t.local/", b"/a#", b"/#/a",
                   b"/a?#", b"%2fa", b"%", b"&", b"=", b";/a", b"a/b", b"..", b"./", b"~", b"\\\\t.local\\a",
                       b"/a\\..\\b",
                   b"/%u0041", b"/%0", b"/%%", b"/%G0", b"/a%2", b"/\xff", b"/\xe2\x80\xae", b"/\xc0\xaf", b"/\x7f"):
        yield good(get(target)) if target == b"//" else bad(get(target))
    # The target's host is that of the request, so both must agree; what is not there agrees with nothing.
    for value in (b"", b" ", b"other", b"t.local.evil", b"evil.t.local", b"t.local:8080", b"t.local:443", b"[::1]"):
        yield bad(b"GET http://t.local/a HTTP/1.1\r\nHost: " + value + b"\r\n\r\n")
    for value in (b"t.local", b"T.local", b"t.local:80", b"t.local:", b"t.local."):
        yield good(b"GET http://t.local/a HTTP/1.1\r\nHost: " + value + b"\r\n\r\n")
    for target in (b"t.local:443", b"t.local", b"*", b"/a", b"http://t.local/a", b"[::1]:443", b":443", b"t.local:0"):
        yield bad(line(b"CONNECT " + target + b" HTTP/1.1"), 405)
    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"TRACE", b"PATCH", b"BREW"):
        yield Case(line(method + b" * HTTP/1.1"), 400, head_only=method == b"HEAD")
    yield good(line(b"OPTIONS * HTTP/1.1"))
    yield good(line(b"OPTIONS http://t.local HTTP/1.1"))
    yield good(line(b"OPTIONS http://t.local/ HTTP/1.1"))
    yield good(b"OPTIONS /a HTTP/1.1\r\n" + HOST + b"Max-Forwards: 0\r\n\r\n")
    yield Case(line(b"TRACE /a HTTP/1.1"), 405, keeps=True)
    yield Case(b"TRACE /a HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nhi", 405)


def hosts():
    for value in (b"a:0", b"a:00", b"a:080", b"a:65536", b"a:4294967376", b"a:8 0", b"a:80x", b"a:0x50", b"a:80,", b"a::",
                  b"a:\x00", b"a:\xd9\xa8", b"[::1]:0", b"[::1]:65536", b"[::1]x:80", b"[::1]::80", b"[fe80::1%eth0]",
                  b"[fe80::1%25eth0]", b"[::1%]", b"[v1.a]", b"[1.2.3.4]", b"[::g]", b"[:::1]", b"[1:2:3:4:5:6:7:8:9]",
                  b"[::1", b"::1]", b"[]", b"[", b"]", b"[a]", b"[::1]]", b"[[::1]]", b"a[::1]", b"[::1].", b"a..",
                      b"..a",
                  b"a...b", b"-", b"a b", b"a\tb", b"a,", b",a", b"a;b", b"a=b", b"a@", b"@a", b"a%00", b"a%2fb", b"%61",
                  b"a|b", b"a~b", b"(a)", b"<a>", b'"a"', b"'a'", b"a!", b"a$", b"a+b", b"a^b", b"a`b", b"{a}", b"//a",
                  b"a//", b"\\a", b"a?", b"?", b"#", b"http:/", b"a\x7f", b"\x80", b"xn--\xc3\xa9", b"a" * 254):
        yield bad(host(b" " + value)) if value != b"-" else good(host(b" -"))
    for value in (b"a:", b"a.:", b"[::1]:", b"a_b", b"_a", b"1", b"1.2.3", b"256.1.1.1", b"0x7f.1", b"a:1", b"a:65535",
                  b"[::]", b"[1::]", b"[1:2:3:4:5:6:7:8]", b"[::FFFF:1.2.3.4]:80", b"A.B.C.", b"a--b", b"a" * 63):
        yield good(host(b" " + value))
    for first, second in itertools.product((b"Host: t.local", b"host:t.local", b"HOST: other", b"Host:"), repeat=2):
        yield bad(b"GET /a HTTP/1.1\r\n" + first + b"\r\n" + second + b"\r\n\r\n")
        yield bad(b"GET /a HTTP/1.0\r\n" + first + b"\r\nX: y\r\n" + second + b"\r\n\r\n")


# Transfer-Encoding, hidden from one reader or another.
HIDDEN = [b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
          b"Transfer-Encoding:chunked", b"Transfer-Encoding:\tchunked", b"Transfer-Encoding:\x0bchunked",
          b" Transfer-Encoding: chunked", b"X: y\r\n Transfer-Encoding: chunked", b"X: y\nTransfer-Encoding: chunked",
          b"X: y\rTransfer-Encoding: chunked", b"X:\nTransfer-Encoding: chunked", b"Transfer-Encoding\n: chunked",
          b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding:\n chunked", b"Transfer-Encoding\r\n: chunked",
          b"\x00Transfer-Encoding: chunked", b"Transfer-Encoding\x00: chunked", b"Transfer-Encoding: \x00chunked",
          b"Transfer-Encoding: chunked\x00", b"Transfer-Encoding: chunked\x0b", b"Transfer-Encoding: chunked\xa0",
          b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: 'chunked'", b"Transfer-Encoding: chunked;a=b",
          b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked",
          b"Transfer-Encoding: identity", b"Transfer-Encoding: cow",
              b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
          b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
              b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow",
          b"Transfer-Encoding:\r\nTransfer-Encoding: chunked", b"transfer-encoding: CHUNKED", b"Transfer-Encoding: ",
          b"Transfer-Encoding: chunked,", b"Transfer-Encoding: ,chunked", b"Transfer-Encoding: chunked chunked",
          b"Transfer-Encoding: chunked\r\n\tX", b"Transfer-Encoding:: chunked", b":Transfer-Encoding: chunked",
          b"Transfer Encoding: chunked", b"Transfer-Encoding chunked", b"Transfer-Encoding; chunked",
          b"Transfer-\x80Encoding: chunked", b"\xefTransfer-Encoding: chunked", b"Transfer-Encod\xc4\xb1ng: chunked"]
# Names that are others, however much they look alike: they mean nothing.
OTHERS = [b"Transfer-Encodin: chunked", b"XTransfer-Encoding: chunked", b"Transfer_Encoding: chunked",
          b"Transfer.Encoding: chunked", b"TransferEncoding: chunked", b"TE: chunked", b"X-Transfer-Encoding: chunked",
          b"Content-Lengt: 3", b"Content_Length: 3", b"ContentLength: 3", b"X-Content-Length: 3", b"Content.Length: 3"]
INNER = b"POST /inner HTTP/1.1\r\nHost: t.local\r\n\r\n"


def smuggling():
    plain = {b"Transfer-Encoding:chunked", b"Transfer-Encoding:\tchunked", b"transfer-encoding: CHUNKED"}
    for hidden in HIDDEN:
        for both in (b"Content-Length: 4\r\n" + hidden, hidden + b"\r\nContent-Length: 4"):
            for body in (b"0\r\n\r\n" + INNER, b"2b\r\n" + INNER + b"0\r\n\r\n"):
                yield bad(post(both, body), (400, 501))
        if hidden not in plain:
            yield bad(post(hidden, b"0\r\n\r\n"), (400, 501))
    for other in OTHERS:
        for both in (b"Content-Length: %d\r\n" % len(INNER) + other, other + b"\r\nContent-Length: %d" % len(INNER)):
            yield good(post(both, INNER))
        yield good(post(b"Transfer-Encoding: chunked\r\n" + other, b"%x\r\n" % len(INNER) + INNER + b"\r\n0\r\n\r\n"))
    for second in (b"Content-Length: 5", b"content-length:5", b"Content-Length: 0", b"Content-Length:",
        b"Content-Length: +4",
                   b"Content-Length : 4", b" Content-Length: 4", b"Content-Length: 4\x00", b"Content-Length\x00: 4",
                   b"Content-Length: 4, 4", b"Content-Length\r\n: 4", b"Content-Length: 0x4"):
        yield bad(post(b"Content-Length: 4\r\n" + second, b"hihi" + INNER))
        yield bad(post(second + b"\r\nContent-Length: 4", b"hihi" + INNER))
    # A length on what nobody expects to have a body: it is read, and is no request.
    for method in (b"GET", b"DELETE", b"OPTIONS", b"PROPFIND", b"BREW"):
        yield good(fields(b"Content-Length: %d" % len(INNER), method) + INNER)
    yield good(fields(b"Content-Length: %d" % len(INNER), b"GET").replace(b"/a", b"/kept") + INNER)
    for upgrade in (b"h2c", b"websocket", b"TLS/1.0", b"HTTP/2.0", b"x", b""):
        text = b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\nContent-Length: %d" % len(INNER)
        yield good(fields(text) + INNER)
        yield good(fields(b"Upgrade: " + upgrade))


def chunking():
    for size in (b"0x2", b"0X2", b"x2", b"2x", b"2h", b"\\x32", b"+2", b"-2", b"-0", b"+0", b"2.0", b"2,2", b"2 2",
                 b"2;", b"2; ", b"2;;", b"2;=", b"2;a=", b'2;a="', b'2;a="b', b'2;a=b"c"', b'2;a="b"c', b"2;a b",
                     b"2;a=b c",
                 b"2;a==b", b"2;(a)", b"2;\xc3\xa9", b"2;a=\xff", b"2\t", b"2\x0b", b"2\x0c", b"2\xa0", b"2\x00", b"2 ",
                 b"  2", b"\xef\xbb\xbf2", b"2\r", b"2\r\r", b"%32", b"two", b'"2"', b"0000000000000002",
                     b"10000000000000002",
                 b"100000002\x00", b"fffffffffffffffe", b"8000000000000002", b"00000000000000000000000000000002"):
        yield bad(chunks(size + b"\r\nhi\r\n0\r\n\r\n"))
    for size in (b"2;a", b"2;a;b", b"2;a=b", b'2;a="b"', b'2;a="b";c=d', b'2;a="\\""', b'2;a=""',
                 b"2;a=%22", b"2; a", b"2;a = b", b"002", b"000000000000002", b"2;A-b_c.d=!#$", b"2;" + b"x" * 255):
        yield good(chunks(size + b"\r\nhi\r\n0\r\n\r\n"))
    for body in (b"2\r\nhi\r\n0\r\n\r", b"2\r\nhi\r\n0\r\nX\r\n\r\n", b"2\r\nhi\r\n0\r\n\n", b"2\r\nhi\r\n0\n\n",
                 b"2\r\nhi\r\n0\n\r\n", b"2\nhi\n0\n\n", b"2\r\nhi\n0\r\n\r\n", b"2\r\nhi\r0\r\n\r\n", b"2\rhi\r0\r\r",
                 b"2\r\nh\r\n0\r\n\r\n", b"2\r\nhix\r\n0\r\n\r\n", b"2\r\nhi0\r\n\r\n", b"2\r\n\r\nhi\r\n0\r\n\r\n",
                 b"\r\n2\r\nhi\r\n0\r\n\r\n", b"2\r\nhi\r\n\r\n0\r\n\r\n", b"2\r\nhi\r\n00;\r\n\r\n", b"hi", b"\r\n\r\n",
                 b"2 \r\nhi\r\n0\r\n\r\n", b"2\r\nhi\r\n0 \r\n\r\n", b"2\r\nhi\r\n-0\r\n\r\n", b"2\r\nhi\r\n0x0\r\n\r\n",
                 b"2\r\nhi \r\n0\r\n\r\n"):
        yield bad(chunks(body))
    for trailer in (b"X", b"X y: z", b"X : y", b" X: y", b"\tX: y", b": y", b"X: y\r\n z", b"X: y\r\n\tz", b"X: y\nY: z",
                    b"X: y\rz", b"X: \x00", b"X\x00: y", b"X: \x7f", b"\xc3\xa9: y", b"X: y\r", b"Host: t.local",
                    b"host: other", b"Transfer-Encoding: chunked", b"transfer-encoding:", b"Content-Length: 2",
                    b"CONTENT-LENGTH: 0", b"GET /inner HTTP/1.1", b"GET /inner HTTP/1.1\r\nHost: t.local"):
        yield bad(chunks(b"2\r\nhi\r\n0\r\n" + trailer + b"\r\n\r\n"))
    for trailer in (b"X: y", b"X:", b"X: y\r\nX: z", b"Connection: close", b"Expect: x", b"Cookie: a", b"X-Sum: \xff",
                    b"Content-Type: a", b"Authorization: Basic eA==", b"Upgrade: h2c", b"X_Y: z", b"Trailer: X",
                    b"\r\n".join(b"X: %d" % n for n in range(32))):
        yield good(chunks(b"2\r\nhi\r\n0\r\n" + trailer + b"\r\n\r\n"))


# Fields whose values mean nothing here: the request is as good without them.
HARMLESS = [b"Range: bytes=5-1", b"Range: bytes=a", b"Range: x", b"Range:", b"Range: bytes=0-0,-1,,", b"If-Range: x",
            b'If-Range: "', b"If-Match: x", b'If-Match: "a', b"If-None-Match: x", b"If-None-Match: ,,",
            b"If-Modified-Since: x", b"If-Modified-Since: 99999999999999", b"If-Unmodified-Since: -1",
            b"Accept-Encoding: ;;q=", b"Accept-Encoding: gzip;q=2", b"Accept-Encoding: " + b"x," * 2000, b"Accept: \xff",
            b"Accept: */*;q=nan", b"Accept-Language: ,", b'Cache-Control: "', b"Cache-Control: max-age=-1",
            b"Cache-Control: max-age=99999999999999999999", b"Cache-Control: ,,no-cache=\"", b"Pragma: \x80",
            b"Cookie: a=b; a=c; ;;", b"Cookie: =", b"Cookie: " + b"a" * 8000, b"Authorization:", b"Authorization: x",
            b"Authorization: Basic \xff", b"Date: never", b"Age: -1", b"Expires: 0", b"Vary: *", b"ETag: x", b"TE: ;q",
            b"TE: chunked", b"TE: trailers, gzip", b"Trailer: Content-Length", b"Trailer:", b"Via: 1.0 \xff, ,x",
            b"Forwarded: for=\"", b"X-Forwarded-For: x, ,1.2.3.4.5", b"X-Forwarded-For: " + b"1.2.3.4, " * 500,
            b"X-Forwarded-Proto: gopher", b"X-Forwarded-Host: a b", b"X-Forwarded-Port: x", b"X-Real-IP: \xff",
            b"Max-Forwards: 0", b"Max-Forwards: x", b"Content-Type: ;", b"Content-Encoding: chunked", b"From: \xff",
            b"Content-Range: bytes 0-1/2", b"Content-MD5: x", b"Keep-Alive: timeout=-1", b"Proxy-Connection: close",
            b"Proxy-Authorization: Basic x", b"Priority: u=9", b"Origin: null", b"Referer: \\\\x", b"User-Agent:",
            b"Upgrade-Insecure-Requests: 1", b"DNT: 2", b"Status: 500", b"X-HTTP-Method-Override: DELETE",
            b"X-Original-URL: /inner", b"X-Rewrite-URL: /inner", b":path: /inner"[1:], b"Connection: TE\r\nTE: gzip",
            b"Connection: close-not", b"Connection: x\r\nX: y", b"HTTP2-Settings: %", b"Sec-WebSocket-Key: x",
            b"CloudFront-Viewer-Country: XX", b"CDN-Loop: other;vignette", b"Surrogate-Capability: x", b"Purge-Mode: x"]


def meanings():
    for text in HARMLESS:
        answers = (200, 304, 412, 416) if text.startswith((b"If-", b"Range")) else 200
        yield good(fields(text), answers)
        yield good(fields(text).replace(b"/a", b"/kept"), answers)
        yield good(fields(text, b"HEAD"), answers, head_only=True)
    for value in (b"100-continue", b"100-CONTINUE", b"\t100-continue "):
        yield good(post(b"Expect:" + value + b"\r\nContent-Length: 2", b"hi"))
        yield good(post(b"Expect:" + value + b"\r\nTransfer-Encoding: chunked", b"2\r\nhi\r\n0\r\n\r\n"))
        yield good(fields(b"Expect:" + value))
        yield good(fields(b"Expect:" + value + b"\r\nContent-Length: 0"))
    for value in (b"101-continue", b"100-continue=1", b"100 continue", b"100-continued", b"\xff", b"close", b"200-ok"):
        yield bad(fields(b"Expect: " + value), 417)
        yield bad(post(b"Expect: " + value + b"\r\nContent-Length: %d" % len(INNER), INNER), 417)


def corpus():
    for group in (every_byte, versions, targets, hosts, smuggling, chunking, meanings):
        yield from (case for case in group() if case.data != NONE)


@pytest.fixture
def origin():
    server = RawOrigin()
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    kept = b'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: "a"\r\nContent-Length: 2\r\n\r\nhi'
    server.script.update({"/chunks": (chunked, "keep"), "/kept": (kept, "keep")})
    yield server
    server.stop()


@pytest.fixture
def node(start_node, origin):
    times = '[timeouts]\nheader = "5s"\nbody_stall = "1s"\n'
    routes = [config.route("/chunks", origin='"app"', cache='"off"'), config.route("/*", origin='"app"')]
    return start_node(config.node(times, config.app_origin([origin]), config.site(*routes)))


def test_every_byte_in_every_place_has_one_meaning(node, origin):
    cases = list(corpus())
    assert len(cases) >= 4000
    wrong = wrong_cases(cases, node.http())
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:100])
    assert not origin.unclean, origin.unclean[:20]
    assert not [target for target in origin.targets() if "inner" in target]
    assert origin.targets().count("/behind") == sum(case.keeps for case in cases)


ARRIVALS = [
    # (the request, method, target and Host that the origin gets, its body)
    (get(b"/a/./b/../c%7e%2fd?q=%2e&&"), "GET", "/a/c~%2Fd?q=%2e&&", b"t.local", b""),
    (get(b"http://T.local:80/x?y"), "GET", "/x?y", b"t.local", b""),
    (b"GET http://t.local/x HTTP/1.1\r\nHost: t.local:80\r\n\r\n", "GET", "/x", b"t.local:80", b""),
    (b"GET /x HTTP/1.1\r\nHost: \t T.Local.: \r\n\r\n", "GET", "/x", b"t.local", b""),
    (b"GET /x HTTP/1.1\r\nHost: [2001:DB8::1]:\r\n\r\n", "GET", "/x", b"[2001:db8::1]", b""),
    (get(b"http://t.local"), "GET", "/", b"t.local", b""),
    (get(b"http://t.local?q"), "GET", "/?q", b"t.local", b""),
    (line(b"M-SEARCH_1.~ /x HTTP/1.9"), "M-SEARCH_1.~", "/x", b"t.local", b""),
    (line(b"POST /x HTTP/1.1"), "POST", "/x", b"t.local", b""),
    (post(b"Content-Length: 0002", b"hi"), "POST", "/a", b"t.local", b"hi"),
    (chunks(b"1;a=b\r\nh\r\n0001\r\ni\r\n0;c\r\nX: y\r\n\r\n"), "POST", "/a", b"t.local", b"hi"),
]


def test_what_arrives_is_the_normal_form(node, origin):
    with RawClient(node.http()) as client:
        for data, method, target, name, body in ARRIVALS:
            client.send(data)
            assert client.reply().status == 200, data
            _, got_method, got_target, got_fields, got_body = origin.seen[-1]
            assert (got_method, got_target, got_fields[b"host"], got_body) == (method, target, name, body), data
    assert not origin.unclean, origin.unclean


def test_a_request_cut_anywhere_is_the_same_and_one_cut_short_is_none(node, origin):
    wholes = [post(b"Content-Length: 2\r\nX: y", b"hi"), chunks(b"2;a=b\r\nhi\r\n0\r\nX: y\r\n\r\n"),
              b"\r\n" + get(b"http://t.local/a?b")]
    for whole in wholes:
        for end in range(1, len(whole)):
            with RawClient(node.http()) as client:
                client.send(whole[:end])
                client.sock.shutdown(1)
                reply = client.reply()
                assert reply is None or reply.status == 400, (whole[:end], reply)
                assert client.at_end()
    assert origin.seen == []
    for whole in (*wholes, post(b"Content-Length: 2\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"), chunks(b"2\nhi\r\n")):
        expected = 200 if whole in wholes else 400
        for end in range(1, len(whole)):
            with RawClient(node.http()) as client:
                client.send(whole[:end])
                client.send(whole[end:])
                assert client.reply().status == expected, (whole[:end], whole[end:])
    assert not origin.unclean, origin.unclean


def test_clean_requests_before_a_bad_one_are_answered_and_none_behind_it(node, origin):
    clean = [get(b"/a"), post(b"Content-Length: 2", b"hi"), chunks(b"2\r\nhi\r\n0\r\n\r\n"), get(b"/kept")]
    unclean = [get(b"/a b"), fields(b"X : y"), post(b"Content-Length: x", b"hi"), chunks(b"x\r\n"), b"\0", host(b"")]
    for before, worst in itertools.product(range(4), unclean):
        with RawClient(node.http()) as client:
            client.send(b"".join(itertools.islice(itertools.cycle(clean), before)) + worst + BEHIND * 3)
            statuses = [client.reply().status for _ in range(before + 1)]
            assert statuses == [200] * before + [400], (before, worst)
            assert client.at_end()
    assert "/behind" not in origin.targets()
