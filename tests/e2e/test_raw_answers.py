"""Answers of an origin as bytes: what the client gets of each, passed through and through the cache; that the client's
connection is as good as before, that a doubtful one to the origin is not used again, and a doubtful answer not kept."""

import concurrent.futures
import threading
import time

import pytest

from support import config
from support.raw import RawClient, RawOrigin

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 2\r\n\r\nok"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

BYTES = [bytes([c]) for c in range(256)]
VALUE = [bytes([c]) for c in (9, *range(32, 127), *range(128, 256))]
TOKEN = [bytes([c]) for c in b"!#$%&'*+-.^_`|~" + bytes(range(48, 58)) + bytes(range(65, 91)) + bytes(range(97, 123))]
FRESH = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nfresh"

# What the client gets: a 502; these bytes, whole; a body that it can tell was cut short, or a 502.
BAD, CUT = "bad", "cut"


def every_byte():
    for byte in BYTES:
        yield b"HTTP/1.1 200 O" + byte + b"K\r\n" + LENGTH, b"ok" if byte in VALUE else BAD
        yield OK + b"X: a" + byte + b"b\r\n" + LENGTH, b"ok" if byte in VALUE else BAD
        yield OK + b"X" + byte + b"Y: z\r\n" + LENGTH, b"ok" if byte in TOKEN or byte == b":" else BAD
        blank = byte in (b" ", b"\t")
        if not byte.isdigit():
            yield OK + b"Content-Length: 2" + byte + b"\r\n\r\nok", b"ok" if blank else BAD
            yield OK + b"Content-Length: " + byte + b"2\r\n\r\nok", b"ok" if blank else BAD
        yield OK + b"Transfer-Encoding: " + byte + b"chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok" if blank else BAD
        yield OK + b"Transfer-Encoding: chunked" + byte + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok" if blank else BAD
        yield CHUNKED + b"2" + byte + b"x\r\nok\r\n0\r\n\r\n", b"ok" if byte == b";" else CUT
        yield CHUNKED + b"2\r\nok" + byte + b"\r\n0\r\n\r\n", CUT
    for place in range(9):
        for byte in b"\0\t 0239./hp\xff":
            start = bytearray(b"HTTP/1.1 200 OK")
            start[place] = byte
            fine = place == 7 and chr(byte) in "0239" or bytes(start) == b"HTTP/1.1 200 OK"
            yield bytes(start) + b"\r\n" + LENGTH, b"ok" if fine else BAD


def statuses():
    for start in (b"HTTP/1.1 99 X", b"HTTP/1.1 000 X", b"HTTP/1.1 999 X", b"HTTP/1.1 600 X", b"HTTP/1.1 20 X",
                  b"HTTP/1.1 2000 X", b"HTTP/1.1 -20 X", b"HTTP/1.1 2x0 X", b"HTTP/1.1 +20 X", b"HTTP/1.1  200 OK",
                  b"HTTP/1.1\t200 OK", b"HTTP/1.1200 OK", b"HTTP/2.0 200 OK", b"HTTP/2 200 OK", b"HTTP/0.9 200 OK",
                  b"HTTP/1.1.1 200 OK", b"HTTP/11 200 OK", b"http/1.1 200 OK", b"ICY 200 OK", b"200 OK",
                  b" HTTP/1.1 200 OK", b"HTTP/1.1 200\0OK", b"HTTP/1.1 200 O\0K", b"HTTP/1.1 200 O\x01K",
                  b"HTTP/1.1 200 O\rK", b"HTTP/1.1", b"HTTP/1.1 ", b"", b"\r\n\r\nHTTP/1.1 200 OK", b"GET / HTTP/1.1",
                  b"\0", b"\x16\x03\x01", b"220 mail ESMTP", b"HTTP/1.1 101 Switching",
                  b"HTTP/1.1 200 " + b"x" * 70_000):
        yield start + b"\r\n" + LENGTH, BAD
    for start in (b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.2 200 OK",
                  b"HTTP/1.1 200 \xc3\xa9", b"HTTP/1.1 299 Odd", b"HTTP/1.1 200 HTTP/1.1 500 x"):
        yield start + b"\r\n" + LENGTH, b"ok"
    yield b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", BAD
    yield HINTS * 8 + OK + LENGTH, b"ok"
    yield HINTS * 9 + OK + LENGTH, BAD
    yield HINTS * 10_000, BAD
    yield b"HTTP/1.1 100 Continue\r\n\r\n" + OK + LENGTH, b"ok"
    yield b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + OK + LENGTH, b"ok"
    yield b"HTTP/1.1 100 Continue\n\n" + OK + LENGTH, BAD
    yield b"HTTP/1.1 199 Odd\r\n\r\n" + OK + LENGTH, b"ok"
    yield b"HTTP/1.1 102 Processing\r\nX: " + b"x" * 70_000 + b"\r\n\r\n" + OK + LENGTH, BAD
    yield b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: x\r\n\r\n" + OK + LENGTH, BAD
    yield b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n" + OK + LENGTH, BAD
    yield OK + OK + LENGTH, BAD


def heads():
    for text in (b"nocolon", b": x", b"X : y", b"X\t: y", b" X: y", b"X: a\r\n b", b"X: a\r\n\tb", b"X\0: y",
                 b"X: a\0b", b"X: a\x01b", b"X: a\x7fb", b"X: a\nY: b", b"X: a\rb", b"X: a\r", b"X(): y",
                 b"\xc3\xa9: y", b"X: a\n b", b"X: " + b"x" * 70_000, b"\r\n".join(b"X%d: y" % n for n in range(3000))):
        yield OK + text + b"\r\n" + LENGTH, BAD
    for length in (b"+2", b"-2", b"0x2", b"2_0", b"2 0", b"two", b"", b"2.0", b"2,2", b"2, 3",
                   b"2\r\nContent-Length: 2", b"1" * 20, b"2\r\nContent-Length: 3", b"2\x0b", b"2;", b"2\r\n 0",
                   b"\xa02"):
        yield OK + b"Content-Length: " + length + b"\r\n\r\nok", BAD
    for coding in (b"xchunked", b"gzip, chunked", b"chunked, gzip", b"chunked;x", b"identity", b"", b"chunked,",
                   b"\x0bchunked", b"chunked, chunked", b"chunked\r\nTransfer-Encoding: chunked",
                   b"chunked\r\nTransfer-Encoding: identity", b"gzip", b"\xa0chunked"):
        yield OK + b"Transfer-Encoding: " + coding + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n", BAD
    yield b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", BAD
    for text in (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
                 b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok", b"\n" + OK + LENGTH,
                 b"HTTP/1.1 200 OK\r\r\n" + LENGTH):
        yield text, BAD
    for text in (b"X: \xff\xfe", b"X:", b"X: a\tb", b"!#$%&'*+.^`|~-9: x", b"X_Y: z", b"Connection: X-Hop\r\nX-Hop: 1",
                 b"Content-Type: a\r\nContent-Type: b", b"Set-Cookie: a\r\nSet-Cookie: b", b"Connection: close",
                 b"Keep-Alive: timeout=0", b"Age: garbage", b"Date: garbage",
                 b"Cache-Control: max-age=99999999999999999999", b"Cache-Control: max-age=-1", b'Cache-Control: "',
                 b"Vary: *", b"Vary: " + b"a," * 5000, b"Cache-Control: max-age=60\r\nVary: Cookie\r\nETag: bad",
                 b'ETag: "' + b"x" * 9000 + b'"', b"Expires: -1", b"Upgrade: h2c", b"Proxy-Connection: keep-alive",
                 b"Trailer: Content-Length", b"Content-Range: bytes 0-1/2", b"Cache-Status: evil"):
        yield OK + text + b"\r\n" + LENGTH, b"ok"
    yield OK + b"Content-Length: 02\r\n\r\nok", b"ok"


def bodies():
    yield OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"
    yield OK + b"Content-Length: 2\r\n\r\nok" + SMUGGLED, b"ok"
    yield OK + b"Content-Length: 2\r\n\r\nokgarbage", b"ok"
    yield OK + b"Content-Length: 0\r\n\r\n" + SMUGGLED, b""
    yield b"HTTP/1.1 204 No Content\r\n\r\n" + SMUGGLED, b""
    yield b"HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\n" + SMUGGLED, b""
    yield b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b""
    yield b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n" + SMUGGLED, b""
    yield OK + b"Content-Length: 2\r\n\r\nok\r\n", b"ok"
    yield OK + b"Content-Length: 2\r\n\r\nok\0", b"ok"
    yield CHUNKED + b"2\r\nok\r\n0\r\n\r\n0\r\n\r\n", b"ok"
    yield CHUNKED + b"0\r\n\r\n2\r\nok\r\n0\r\n\r\n", b""
    yield OK + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\npoison", CUT
    yield OK + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"
    for body in (b"2;a=b\r\nok\r\n0\r\n\r\n", b"0002\r\nok\r\n0\r\nX: y\r\n\r\n", b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
                 b"2\r\nok\r\n0\r\n\r\n" + SMUGGLED):
        yield CHUNKED + body, b"ok"
    for body in (b"0x2\r\nok", b"2\nok\r\n0\r\n\r\n", b"2\r\nokX\r\n0\r\n\r\n", b"2\r\nok0\r\n\r\n", b"g\r\nok",
                 b"-1\r\nok", b" 2\r\nok", b"2 \r\nok", b"1" + b"0" * 15 + b"\r\nok", b"ffffffffffffffff\r\nok",
                 b"\r\n", b"2\r\nok\n0\r\n\r\n", b"2;\0\r\nok\r\n0\r\n\r\n", b"2;" + b"x" * 300 + b"\r\nok",
                 b"2\r\nok\r\n0\r\nbad trailer\r\n\r\n", b"2\r\nok\r\n0\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
                 b"2\r\nok\r\n0\r\nX: a\0\r\n\r\n", b"2\r\nok\r\n0\r\nContent-Length: 3\r\n\r\n"):
        yield CHUNKED + body, CUT
        yield CHUNKED + b"3\r\nabc\r\n" + body, CUT


def closings():
    """Answers after which the origin closes: (bytes, what the client gets)."""
    yield OK + b"\r\nto the end", b"to the end"
    yield b"HTTP/1.0 200 OK\r\n\r\nto the end", b"to the end"
    yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + LENGTH, b"ok"
    yield b"", BAD
    yield HINTS, BAD
    yield b"HTTP/1.1 100 Continue\r\n\r\n", BAD
    yield b"HTTP/1.1 101 Switching Protocols\r\n\r\n", BAD
    yield OK + b"Content-Length: 100000\r\n\r\n" + b"x" * 99_999, CUT
    yield OK + b"Content-Length: 9999999999999999999\r\n\r\nok", CUT
    yield OK + b"Content-Length: 1\r\n\r\nok", b"o"
    yield CHUNKED + b"fffffffffffffff\r\nok", CUT
    yield CHUNKED + b"2\r\nok\r\n", CUT
    yield CHUNKED + b"2\r\nok\r\n0\r\nX: y\r\n", CUT
    head = OK + LENGTH
    for end in range(1, len(head) - 2):
        yield head[:end], BAD
    yield head[:-1], CUT
    yield head[:-2], CUT
    whole = CHUNKED + b"2;x=y\r\nok\r\n0\r\nX: y\r\n\r\n"
    for end in range(len(CHUNKED), len(whole)):
        yield whole[:end], CUT


@pytest.fixture
def origin():
    server = RawOrigin()
    yield server
    server.stop()


@pytest.fixture
def node(start_node, origin):
    modes = {"off": "off", "on": "on", "kept": "on"}
    routes = [config.route(f"/{path}/*", origin='"app"', cache=f'"{mode}"') for path, mode in modes.items()]
    short = '{ first_byte = "5s" }'
    return start_node(config.node(config.app_origin([origin], timeouts=short), config.site(*routes)))


def ask(client, target, method="GET"):
    client.send(f"{method} {target} HTTP/1.1\r\nHost: t.local\r\n\r\n".encode())
    return client.reply(method == "HEAD")


def problem_of(address, target, expected):
    with RawClient(address) as client:
        reply = ask(client, target)
        if reply is None:
            return None if expected == CUT else "no answer"
        if expected == BAD:
            fine = reply.whole and reply.status == 502
        elif expected == CUT:
            fine = reply.status == 502 or not reply.whole
        else:
            fine = reply.whole and reply.status < 300 and reply.body == expected
        if not fine:
            return f"{reply}"[:300]
        if not reply.whole:
            return None
        if b"poison" in reply.body:
            return "poisoned"
        if reply.fields.get("connection") == "close":
            return "the client's connection was closed for the origin's fault"
        behind = ask(client, target.replace("/case", "/behind"))
        text = f"GET {target.replace('/case', '/behind')} ".encode()
        return None if behind and behind.body == text else f"behind it: {behind}"


def wrong_answers(node, origin, answers, after, mode):
    wanted = {}
    for number, (data, expected) in enumerate(answers):
        target = f"/{mode}/case{after}{number}"
        origin.script[target] = (data, after)
        wanted[target] = expected

    def judged(target):
        try:
            return problem_of(node.http(), target, wanted[target])
        except (AssertionError, OSError) as error:
            return f"{type(error).__name__}: {error}"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = zip(wanted, pool.map(judged, wanted))
        return [f"{origin.script[t][0][:160]!r} {mode} {after}: not {wanted[t]}: {p}" for t, p in results if p]


def test_every_byte_of_an_answer_has_one_meaning(node, origin):
    wrong = wrong_answers(node, origin, list(every_byte()), "keep", "off")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:100])
    assert not origin.unclean, origin.unclean


def test_a_broken_answer_is_not_kept_however_long_it_says_it_may_be(node, origin):
    broken = [(data, after) for after, answers in (("keep", [*statuses(), *heads(), *bodies()]), ("close", closings()))
              for data, expected in answers if expected in (BAD, CUT)]
    for status in (b"206 Partial Content", b"304 Not Modified", b"416 Range Not Satisfiable", b"101 Switching Protocols"):
        broken.append((b"HTTP/1.1 " + status + b"\r\nContent-Range: bytes 0-1/6\r\nETag: \"a\"\r\n" + LENGTH, "keep"))

    def asked_again(case):
        number, (data, after) = case
        target = f"/kept/{number}"
        long = b"Cache-Control: max-age=60\r\n"
        head, line, rest = data.partition(OK if OK in data else b"\r\n")
        origin.script[target] = (head + line + long + rest, after)
        try:
            with RawClient(node.http()) as client:
                ask(client, target)
            origin.script[target] = (FRESH, "keep")
            with RawClient(node.http()) as client:
                reply = ask(client, target)
            return None if reply and reply.whole and reply.body == b"fresh" else f"{data[:160]!r} {after}: {reply}"
        except (AssertionError, OSError) as error:
            return f"{data[:160]!r} {after}: {type(error).__name__}: {error}"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        wrong = [problem for problem in pool.map(asked_again, enumerate(broken)) if problem]
    assert not wrong, f"{len(wrong)} of {len(broken)}:\n" + "\n".join(wrong)


@pytest.mark.parametrize("mode", ["off", "on"])
def test_every_raw_answer_is_passed_on_clean_or_not_at_all(node, origin, mode):
    kept = [*statuses(), *heads(), *bodies()]
    closed = list(closings())
    assert len(kept) + len(closed) >= 200
    wrong = wrong_answers(node, origin, kept, "keep", mode) + wrong_answers(node, origin, closed, "close", mode)
    # A reset instead of a close leaves open how much came through before; whole answers stay whole.
    resets = [(data, expected) for data, expected in closed if expected in (BAD, CUT)]
    wrong += wrong_answers(node, origin, resets, "reset", mode)
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)
    assert not origin.unclean, origin.unclean
    assert node.status()


def test_bytes_on_an_idle_connection_are_not_the_next_answer(node, origin):
    arrived = threading.Event()

    def late(connection):
        time.sleep(0.02)  # so that they come apart from the answer
        connection.sendall(SMUGGLED)
        arrived.set()

    origin.script["/off/late"] = (OK + LENGTH, late)
    with RawClient(node.http()) as client:
        for number in range(5):
            arrived.clear()
            assert ask(client, "/off/late").body == b"ok"
            assert arrived.wait(5)
            assert ask(client, f"/off/{number}").body == f"GET /off/{number} ".encode()


def test_a_second_answer_behind_the_first_is_nobodys(node, origin):
    origin.script["/off/two"] = (OK + LENGTH + SMUGGLED, "keep")
    with RawClient(node.http()) as client:
        for number in range(5):
            assert ask(client, "/off/two").body == b"ok"
            assert ask(client, f"/off/x{number}").body == f"GET /off/x{number} ".encode()


def test_answers_to_head_carry_no_body_whatever_the_origin_sends(node, origin):
    origin.script["/off/head"] = (OK + b"Content-Length: 44\r\n\r\n" + SMUGGLED, "keep")
    origin.script["/off/chunks"] = (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", "keep")
    with RawClient(node.http()) as client:
        for target in ("/off/head", "/off/chunks"):
            assert ask(client, target, "HEAD").status == 200
            assert ask(client, "/off/next").body == b"GET /off/next "
