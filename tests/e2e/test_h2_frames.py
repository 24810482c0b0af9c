"""HTTP/2 frame by frame (RFC 9113, 7541): what each frame in each place is answered with. The titles name sections."""

import struct

import pytest

from support import config
from support.h2_cases import Answers, Dies, Lives, Refuses, Resets, wrong_cases
from support.h2_client import *
from support.raw import RawOrigin

BIG = b"x" * 16384
HALF = 2**31 - 1


def padded(payload, pad):
    """`pad`: how much the frame says is padding; there is as much, up to 255."""
    return bytes([pad]) + payload + bytes(min(pad, 255))


def upload(stream, *bodies, length=None):
    """A POST whose DATA frames are `bodies`."""
    fields = POST + ([("content-length", str(length))] if length is not None else [])
    return lambda c: c.send(c.head(stream, fields, end=False),
                            *[data(stream, body, number == len(bodies)) for number, body in enumerate(bodies, 1)])


def with_fields(*more, fields=GET):
    return lambda c: c.send(c.head(1, [*fields, *more]))


def instead(name, *values):
    """GET with other values of a pseudo-field: none, one, or several."""
    return lambda c: c.send(c.head(1, [pair for pair in GET for pair in
                                       ([pair] if pair[0] != name else [(name, value) for value in values])]))


def block(data_):
    """A header block of these bytes behind a good request's."""
    return lambda c: c.send(c.head(1, c.encoder.encode(GET) + data_))


def raw_block(data_):
    return lambda c: c.send(c.head(1, data_))


def in_pieces(c, stream, pieces, end=True, fields=GET):
    """A header block as HEADERS and CONTINUATIONs."""
    text = c.encoder.encode(fields)
    size = -(-len(text) // pieces)
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    first = frame(HEADERS, END_STREAM if end else 0, stream, parts[0])
    rest = [frame(CONTINUATION, 0, stream, part) for part in parts[1:-1]]
    return [first, *rest, frame(CONTINUATION, END_HEADERS, stream, parts[-1])]


def sends(*frames):
    return lambda c: c.send(*frames)


def behind_request(*frames):
    """Frames behind a complete request, which may have been answered or not."""
    return lambda c: c.send(c.head(1), *frames)


def behind_answer(*frames):
    def script(c):
        assert c.ask(1).status == 200
        c.send(*[made(c) if callable(made) else made for made in frames])
    return script


def held(c):
    """A stream whose answer waits for a window."""
    c.send(settings((INITIAL_WINDOW_SIZE, 0)), c.head(1))
    assert c.until(lambda: c.stream(1).heads)


# What must work.
GOOD = [
    ("3.4 preface, and a request at once", lambda c: c.send(PREFACE, settings(), c.head(1)), Answers(1),
     {"shake": False}),
    ("5.1 PRIORITY on an idle stream", sends(priority(1)), Lives()),
    ("5.1 PRIORITY on a half-closed stream", lambda c: (held(c), c.send(priority(1), window_update(1, 100))), Answers(1)),
    ("5.1 PRIORITY on a closed stream", behind_answer(priority(1)), Lives()),
    ("5.1 WINDOW_UPDATE on a half-closed stream", lambda c: (held(c), c.send(window_update(1, 100))), Answers(1)),
    ("5.1 RST_STREAM on a half-closed stream", lambda c: (
        held(c), c.send(reset(1), settings((INITIAL_WINDOW_SIZE, 65535)))), Lives()),
    ("5.1 WINDOW_UPDATE on a closed stream", behind_answer(window_update(1, 1)), Lives()),
    ("5.1 RST_STREAM on a closed stream", behind_answer(reset(1)), Lives()),
    ("5.1 frames that crossed our reset", lambda c: (c.send(c.head(1, [*GET, ("te", "x")], end=False)), c.answer(1),
                                                     c.send(data(1, b"late", end=False), data(1, b"late"))), Lives()),
    ("6.1 DATA", upload(1, b"hi"), Answers(1, 200, b"POST /a hi")),
    ("6.1 several DATA", upload(1, b"h", b"", b"i", b""), Answers(1, 200, b"POST /a hi")),
    ("6.1 padded DATA", lambda c: c.send(c.head(1, POST, end=False), data(1, padded(b"hi", 9), flags=PADDED)),
     Answers(1, 200, b"POST /a hi")),
    ("6.1 DATA of padding alone", lambda c: c.send(c.head(1, POST, end=False), data(1, padded(b"", 255), flags=PADDED)),
     Answers(1, 200, b"POST /a ")),
    ("6.1 DATA of a full frame", upload(1, BIG), Answers(1, 200, b"POST /a " + BIG)),
    ("6.2 padded HEADERS", lambda c: c.send(c.head(1, flags=END_HEADERS | PADDED, prefix=b"\5", suffix=bytes(5))),
     Answers(1)),
    ("6.2 HEADERS with a priority", lambda c: c.send(
        c.head(1, flags=END_HEADERS | PRIORITISED, prefix=struct.pack(">IB", 0x80000000, 255))), Answers(1)),
    ("6.2 HEADERS with both", lambda c: c.send(c.head(1, flags=END_HEADERS | PRIORITISED | PADDED,
                                                      prefix=b"\3" + struct.pack(">IB", 3, 0), suffix=bytes(3))),
                                                          Answers(1)),
    ("6.3 PRIORITY of weight 1", sends(priority(1, 0, 0)), Lives()),
    ("6.3 PRIORITY of weight 256, exclusive", sends(priority(1, 0x80000003, 255)), Lives()),
    ("6.3 PRIORITY of a stream, then a lower one", lambda c: c.send(priority(7, 0), c.head(5)), Answers(5)),
    ("6.4 RST_STREAM of a request under way", lambda c: c.send(c.head(1, POST, end=False), reset(1)), Lives()),
    ("6.5 SETTINGS, empty and full", sends(settings(), settings((HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0),
     (MAX_CONCURRENT_STREAMS, 0), (INITIAL_WINDOW_SIZE, HALF), (MAX_FRAME_SIZE, 2**24 - 1), (MAX_HEADER_LIST_SIZE,
      1 << 20))),
     Lives()),
    ("6.5.2 unknown SETTINGS", sends(settings((0xFF, 1), (0, 9), (0xFFFF, 0xFFFFFFFF))), Lives()),
    ("6.5.2 SETTINGS_ENABLE_PUSH of 1", sends(settings((ENABLE_PUSH, 1))), Lives()),
    ("6.5.2 SETTINGS_HEADER_TABLE_SIZE up and down", lambda c: (c.send(settings((HEADER_TABLE_SIZE, 65536))), c.ask(1),
     c.send(settings((HEADER_TABLE_SIZE, 0))), c.ask(3), c.send(c.head(5))), Answers(5)),
    ("6.7 PING", lambda c: (c.send(ping(b"\0\1\2\3\4\5\6\7")), c.until(lambda: c.pongs == [b"\0\1\2\3\4\5\6\7"])),
     Lives()),
    ("6.7 an ACK that answers nothing", sends(ping(flags=ACK)), Lives()),
    ("6.8 GOAWAY with a request under way", lambda c: (held(c), c.send(frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0)),
                                                                      window_update(1, 100))), Answers(1, lives=False)),
    ("6.9 WINDOW_UPDATE of the connection", lambda c: c.send(window_update(0, 1), c.head(1)), Answers(1)),
    ("6.9.1 a window of one byte", lambda c: c.send(settings((INITIAL_WINDOW_SIZE, 1)), c.head(1)), Answers(1, 200,
     b"GET /a ")),
    ("6.9.2 a window that shrinks below nothing", lambda c: (
        c.send(settings((INITIAL_WINDOW_SIZE, 3)), c.head(1)), c.until(lambda: len(c.stream(1).body) == 3),
        c.send(settings((INITIAL_WINDOW_SIZE, 0))), c.alive(), c.send(window_update(1, 2)), c.alive(),
        checked(c.stream(1).body == b"GET", c.answers), c.send(window_update(1, 100))), Answers(1, 200, b"GET /a "),
     {"grow": False}),
    ("6.10 CONTINUATION", lambda c: c.send(*in_pieces(c, 1, 2)), Answers(1)),
    ("6.10 several CONTINUATIONs", lambda c: c.send(*in_pieces(c, 1, 6)), Answers(1)),
    ("6.10 an empty HEADERS, then CONTINUATION", lambda c: c.send(
        frame(HEADERS, END_STREAM, 1), frame(CONTINUATION, END_HEADERS, 1, c.encoder.encode(GET))), Answers(1)),
    ("4.1 unknown frames", sends(frame(0xFF, 0xFF, 0, b"x" * 100), frame(0x16), frame(10, 0, 0, b"")), Lives()),
    ("4.1 unknown flags", lambda c: c.send(ping(flags=0xFE), frame(HEADERS, END_STREAM | END_HEADERS | 0xD2, 1,
                                                                  c.encoder.encode(GET))), Answers(1)),
    ("4.1 the reserved bit", lambda c: c.send(frame(PING, 0, 1 << 31, bytes(8)), frame(
        HEADERS, END_STREAM | END_HEADERS, 1 << 31 | 1, c.encoder.encode(GET)), window_update(0, 1 << 31 | 1)),
            Answers(1)),
    ("7 RST_STREAM with an unknown code", lambda c: c.send(c.head(1, POST, end=False), reset(1, 0xFF)), Lives()),
    ("8.1 HEAD", lambda c: c.send(c.head(1, [(":method", "HEAD"), *GET[1:]])), Answers(1, 200, b"")),
    ("8.1 trailers", lambda c: c.send(c.head(1, POST, end=False), data(1, b"hi", end=False), c.head(1, [("x-sum", "7")])),
     Answers(1, 200, b"POST /a hi")),
    ("8.1 trailers without DATA", lambda c: c.send(c.head(1, POST, end=False), c.head(1, [("x-sum", "7")])), Answers(1)),
    ("8.1 a length and as much", upload(1, b"h", b"i", length=2), Answers(1, 200, b"POST /a hi")),
    ("8.1 a length of nothing", lambda c: c.send(c.head(1, [*POST, ("content-length", "0")])), Answers(1)),
    ("8.1.2 TE: trailers", with_fields(("te", "trailers")), Answers(1)),
    ("8.1.2 cookies in crumbs", with_fields(("cookie", "a=b"), ("cookie", "c=d")), Answers(1)),
    ("8.1.2 OPTIONS *", lambda c: c.send(c.head(1, [(":method", "OPTIONS"), *GET[1:3], (":path", "*")])), Answers(1)),
    ("8.1.2 Host instead of :authority", lambda c: c.send(c.head(1, [*GET[:2], GET[3], ("host", "t.local")])),
     Answers(1)),
    ("8.1.2 both, the same", with_fields(("host", "t.local")), Answers(1)),
    ("HPACK 6.1 static indices", raw_block(b"\x82\x84\x87\x41\x07t.local"), Answers(1)),
    ("HPACK 6.2.1 a new name, then both by index", lambda c: c.send(
        c.head(1, b"\x82\x84\x87\x41\x07t.local\x40\x01x\x01y"), c.head(3, b"\x82\x84\x87\xbf\xbe")), Answers(3)),
    ("HPACK 6.2.2 without indexing", raw_block(b"\x82\x04\x02/a\x87\x01\x07t.local\x00\x01x\x01y"), Answers(1)),
    ("HPACK 6.2.3 never indexed", raw_block(b"\x82\x14\x02/a\x87\x11\x07t.local\x10\x01x\x01y"), Answers(1)),
    ("HPACK 6.3 size updates in front", raw_block(b"\x20\x3f\xe1\x1f\x82\x84\x87\x41\x07t.local"), Answers(1)),
    ("HPACK 5.2 Huffman with a padding of ones", raw_block(b"\x82\x84\x87\x41\x07t.local\x00\x01x\x81\x1f"), Answers(1)),
    ("HPACK 5.2 empty strings", raw_block(b"\x82\x84\x87\x41\x07t.local\x00\x01x\x00\x00\x01z\x80"), Answers(1)),
    ("RFC 9218 7.1 PRIORITY_UPDATE", sends(frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", 1) + b"u=0, i")), Lives()),
]


def checked(fine, what):
    assert fine, what


# Errors of the connection.
BROKEN = [
    ("3.4 another protocol", lambda c: c.send(b"GET / HTTP/1.1\r\nHost: t.local\r\n\r\n"), Dies(PROTOCOL_ERROR, None),
     {"shake": False}),
    ("3.4 a preface that is wrong in its last byte", lambda c: c.send(PREFACE[:-1] + b"x", settings()),
     Dies(PROTOCOL_ERROR, None), {"shake": False}),
    ("3.4 no SETTINGS behind the preface", lambda c: c.send(PREFACE, ping()), Dies(PROTOCOL_ERROR), {"shake": False}),
    ("3.4 an ACK as the first SETTINGS", lambda c: c.send(PREFACE, frame(SETTINGS, ACK)), Dies(PROTOCOL_ERROR),
     {"shake": False}),
    ("4.2 DATA over the frame size", lambda c: c.send(c.head(1, POST, end=False), data(1, BIG + b"x")),
     Dies(FRAME_SIZE_ERROR)),
    ("4.2 HEADERS over the frame size", lambda c: c.send(c.head(1, BIG + b"x")), Dies(FRAME_SIZE_ERROR)),
    ("4.2 SETTINGS over the frame size", sends(settings(*[(0xFF, 1)] * 2731)), Dies(FRAME_SIZE_ERROR)),
    ("4.2 an unknown frame over the frame size", sends(frame(0xFF, 0, 0, BIG + b"x")), Dies(FRAME_SIZE_ERROR)),
    ("4.2 a length of 2^24-1", sends(frame(DATA, 0, 1, b"", 2**24 - 1)), Dies(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    ("4.3 a block that cannot be decoded", raw_block(b"\x40"), Dies(COMPRESSION_ERROR)),
    ("4.3 another frame within a block", lambda c: c.send(*in_pieces(c, 1, 2)[:1], priority(1)), Dies(PROTOCOL_ERROR)),
    ("4.3 another stream's HEADERS within a block", lambda c: c.send(*in_pieces(c, 1, 2)[:1], c.head(3)),
     Dies(PROTOCOL_ERROR)),
    ("4.3 an unknown frame within a block", lambda c: c.send(*in_pieces(c, 1, 2)[:1], frame(0xFF)), Dies(PROTOCOL_ERROR)),
    ("4.3 PING within a block", lambda c: c.send(*in_pieces(c, 1, 2)[:1], ping()), Dies(PROTOCOL_ERROR)),
    ("4.3 DATA within a block", lambda c: c.send(*in_pieces(c, 1, 2)[:1], data(1)), Dies(PROTOCOL_ERROR)),
    ("4.3 SETTINGS within a block", lambda c: c.send(*in_pieces(c, 1, 2)[:1], settings()), Dies(PROTOCOL_ERROR)),
    ("5.1 idle: DATA", sends(data(1, b"x")), Dies(PROTOCOL_ERROR)),
    ("5.1 idle: empty DATA", sends(data(1)), Dies(PROTOCOL_ERROR)),
    ("5.1 idle: RST_STREAM", sends(reset(1)), Dies(PROTOCOL_ERROR)),
    ("5.1 idle: WINDOW_UPDATE", sends(window_update(1, 100)), Dies(PROTOCOL_ERROR)),
    ("5.1 idle: CONTINUATION", lambda c: c.send(frame(CONTINUATION, END_HEADERS, 1, c.encoder.encode(GET))),
     Dies(PROTOCOL_ERROR)),
    ("5.1 idle, above one in use: DATA", behind_request(data(3, b"x")), Dies(PROTOCOL_ERROR)),
    ("5.1 idle, above one in use: RST_STREAM", behind_answer(reset(5)), Dies(PROTOCOL_ERROR)),
    ("5.1 closed: DATA", behind_answer(data(1, b"x")), Dies(STREAM_CLOSED)),
    ("5.1 closed: HEADERS", behind_answer(lambda c: c.head(1)), Dies(STREAM_CLOSED)),
    ("5.1 closed: CONTINUATION", behind_answer(lambda c: frame(CONTINUATION, END_HEADERS, 1, b"\x82")),
     Dies(STREAM_CLOSED, PROTOCOL_ERROR)),
    ("5.1.1 an even stream", lambda c: c.send(c.head(2)), Dies(PROTOCOL_ERROR)),
    ("5.1.1 an even stream, WINDOW_UPDATE", sends(window_update(2, 1)), Dies(PROTOCOL_ERROR)),
    ("5.1.1 an even stream, RST_STREAM", sends(reset(2)), Dies(PROTOCOL_ERROR)),
    ("5.1.1 an even stream, DATA", sends(data(2, b"x")), Dies(PROTOCOL_ERROR)),
    ("5.1.1 a lower stream", lambda c: c.send(c.head(5), c.head(3)), Dies(PROTOCOL_ERROR, STREAM_CLOSED)),
    ("5.1.1 a lower stream, once all is answered", lambda c: (c.ask(5), c.send(c.head(3))), Dies(PROTOCOL_ERROR,
     STREAM_CLOSED)),
    ("5.4.1 a broken frame, and what follows is not read", lambda c: c.send(frame(PING, 0, 0, b"x"), c.head(1)),
     Dies(FRAME_SIZE_ERROR)),
    ("5.5 an extension within a block", lambda c: c.send(*in_pieces(c, 1, 2)[:1], frame(0x16, 0, 0, bytes(8))),
     Dies(PROTOCOL_ERROR)),
    ("6.1 DATA on stream 0", sends(data(0, b"x")), Dies(PROTOCOL_ERROR)),
    ("6.1 more padding than payload", lambda c: c.send(c.head(1, POST, end=False), data(1, b"\x05x", flags=PADDED)),
     Dies(PROTOCOL_ERROR)),
    ("6.1 a padding as long as the payload", lambda c: c.send(c.head(1, POST, end=False), data(1, b"\x05hello"[:5],
     flags=PADDED)),
     Dies(PROTOCOL_ERROR)),
    ("6.1 padded without a length", lambda c: c.send(c.head(1, POST, end=False), data(1, b"", flags=PADDED)),
     Dies(PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    ("6.2 HEADERS on stream 0", lambda c: c.send(c.head(0)), Dies(PROTOCOL_ERROR)),
    ("6.2 more padding than payload", lambda c: c.send(c.head(1, flags=END_HEADERS | PADDED, prefix=b"\xff")),
     Dies(PROTOCOL_ERROR)),
    ("6.2 padded without a length", lambda c: c.send(frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1)),
     Dies(PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    ("6.2 a priority that does not fit", lambda c: c.send(frame(HEADERS, END_HEADERS | PRIORITISED, 1, b"\0\0\0")),
     Dies(PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    ("6.3 PRIORITY on stream 0", sends(priority(0)), Dies(PROTOCOL_ERROR)),
    ("6.4 RST_STREAM on stream 0", sends(reset(0)), Dies(PROTOCOL_ERROR)),
    ("6.4 RST_STREAM of 3 bytes", lambda c: c.send(c.head(1, POST, end=False), frame(RST_STREAM, 0, 1, bytes(3))),
     Dies(FRAME_SIZE_ERROR)),
    ("6.4 RST_STREAM of 5 bytes", lambda c: c.send(c.head(1, POST, end=False), frame(RST_STREAM, 0, 1, bytes(5))),
     Dies(FRAME_SIZE_ERROR)),
    ("6.5 an ACK with payload", sends(frame(SETTINGS, ACK, 0, bytes(6))), Dies(FRAME_SIZE_ERROR)),
    ("6.5 SETTINGS on a stream", sends(settings(stream=1)), Dies(PROTOCOL_ERROR)),
    ("6.5 SETTINGS of 3 bytes", sends(frame(SETTINGS, 0, 0, bytes(3))), Dies(FRAME_SIZE_ERROR)),
    ("6.5 SETTINGS of 7 bytes", sends(frame(SETTINGS, 0, 0, bytes(7))), Dies(FRAME_SIZE_ERROR)),
    ("6.5.2 ENABLE_PUSH of 2", sends(settings((ENABLE_PUSH, 2))), Dies(PROTOCOL_ERROR)),
    ("6.5.2 INITIAL_WINDOW_SIZE of 2^31", sends(settings((INITIAL_WINDOW_SIZE, 2**31))), Dies(FLOW_CONTROL_ERROR)),
    ("6.5.2 MAX_FRAME_SIZE below", sends(settings((MAX_FRAME_SIZE, 2**14 - 1))), Dies(PROTOCOL_ERROR)),
    ("6.5.2 MAX_FRAME_SIZE of 0", sends(settings((MAX_FRAME_SIZE, 0))), Dies(PROTOCOL_ERROR)),
    ("6.5.2 MAX_FRAME_SIZE above", sends(settings((MAX_FRAME_SIZE, 2**24))), Dies(PROTOCOL_ERROR)),
    ("6.6 PUSH_PROMISE from a client", lambda c: c.send(c.head(1, POST, end=False), frame(
        PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + c.encoder.encode(GET))), Dies(PROTOCOL_ERROR)),
    ("6.6 PUSH_PROMISE on an idle stream", lambda c: c.send(frame(
        PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + c.encoder.encode(GET))), Dies(PROTOCOL_ERROR)),
    ("6.7 PING on a stream", sends(frame(PING, 0, 1, bytes(8))), Dies(PROTOCOL_ERROR)),
    ("6.7 PING of 6 bytes", sends(ping(bytes(6))), Dies(FRAME_SIZE_ERROR)),
    ("6.7 PING of 9 bytes", sends(ping(bytes(9))), Dies(FRAME_SIZE_ERROR)),
    ("6.7 PING of nothing", sends(ping(b"")), Dies(FRAME_SIZE_ERROR)),
    ("6.8 GOAWAY on a stream", sends(frame(GOAWAY, 0, 1, bytes(8))), Dies(PROTOCOL_ERROR)),
    ("6.8 GOAWAY of 7 bytes", sends(frame(GOAWAY, 0, 0, bytes(7))), Dies(FRAME_SIZE_ERROR)),
    ("6.9 WINDOW_UPDATE of the connection by 0", sends(window_update(0, 0)), Dies(PROTOCOL_ERROR)),
    ("6.9 WINDOW_UPDATE of 3 bytes", sends(frame(WINDOW_UPDATE, 0, 0, bytes(3))), Dies(FRAME_SIZE_ERROR)),
    ("6.9 WINDOW_UPDATE of 5 bytes", sends(frame(WINDOW_UPDATE, 0, 0, bytes(5))), Dies(FRAME_SIZE_ERROR)),
    ("6.9.1 a connection's window of 2^31", sends(window_update(0, HALF), window_update(0, HALF)),
     Dies(FLOW_CONTROL_ERROR)),
    ("6.10 CONTINUATION on stream 0", lambda c: c.send(*in_pieces(c, 1, 2)[:1], frame(CONTINUATION, END_HEADERS, 0,
     b"\x82")),
     Dies(PROTOCOL_ERROR)),
    ("6.10 CONTINUATION of another stream", lambda c: c.send(*in_pieces(c, 1, 2)[:1], frame(CONTINUATION, END_HEADERS,
     3, b"\x82")),
     Dies(PROTOCOL_ERROR)),
    ("6.10 CONTINUATION behind END_HEADERS", lambda c: c.send(c.head(1, POST, end=False), frame(CONTINUATION,
     END_HEADERS, 1, b"\x82")),
     Dies(PROTOCOL_ERROR)),
    ("6.10 CONTINUATION behind the last CONTINUATION", lambda c: c.send(
        *in_pieces(c, 1, 2, end=False), frame(CONTINUATION, END_HEADERS, 1, b"\x82")), Dies(PROTOCOL_ERROR)),
    ("6.10 CONTINUATION behind DATA", lambda c: c.send(c.head(1, POST, end=False), data(1, b"x", end=False),
                                                      frame(CONTINUATION, END_HEADERS, 1, b"\x82")),
                                                          Dies(PROTOCOL_ERROR)),
    ("6.10 HEADERS again instead of CONTINUATION", lambda c: c.send(*in_pieces(c, 1, 2)[:1], c.head(1)),
     Dies(PROTOCOL_ERROR)),
    ("HPACK 2.3.3 an index that is not there", block(b"\xff\xff\x7f"), Dies(COMPRESSION_ERROR)),
    ("HPACK 2.3.3 the index behind the last", block(b"\xc6"), Dies(COMPRESSION_ERROR)),
    ("HPACK 2.3.3 a name's index that is not there", block(b"\x7f\xff\x7f\x01x"), Dies(COMPRESSION_ERROR)),
    ("HPACK 4.2 a size update behind a field", block(b"\x20"), Dies(COMPRESSION_ERROR)),
    ("HPACK 5.1 a number without an end", block(b"\xff" + b"\xff" * 20 + b"\x01"), Dies(COMPRESSION_ERROR)),
    ("HPACK 5.2 Huffman padded by more than 7 bits", block(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
     Dies(COMPRESSION_ERROR)),
    ("HPACK 5.2 Huffman padded by zeros", block(b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
     Dies(COMPRESSION_ERROR)),
    ("HPACK 5.2 Huffman with EOS", block(b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f"),
     Dies(COMPRESSION_ERROR)),
    ("HPACK 5.2 a string over the end", block(b"\x00\x01x\x7f\xff\x7fy"), Dies(COMPRESSION_ERROR)),
    ("HPACK 6.1 index 0", block(b"\x80"), Dies(COMPRESSION_ERROR)),
    ("HPACK 6.3 a table over our size", raw_block(b"\x3f\xe2\x1f\x82\x84\x87\x41\x07t.local"), Dies(COMPRESSION_ERROR)),
    ("HPACK 6.3 a table of 2^31", raw_block(b"\x3f\xe1\xff\xff\xff\x07\x82\x84\x87\x41\x07t.local"),
     Dies(COMPRESSION_ERROR)),
]

# Errors of a stream, or of what the request says.
MALFORMED = [
    ("5.1 half-closed: DATA", lambda c: (held(c), c.send(data(1, b"x"))), Resets(1, STREAM_CLOSED)),
    ("5.1 half-closed: HEADERS", lambda c: (held(c), c.send(c.head(1))), Resets(1, STREAM_CLOSED)),
    ("5.1 half-closed: CONTINUATION", lambda c: (held(c), c.send(frame(CONTINUATION, END_HEADERS, 1, b"\x82"))),
     Resets(1, STREAM_CLOSED, PROTOCOL_ERROR)),
    ("5.1 half-closed or closed: DATA", behind_request(data(1, b"x")), Resets(1, STREAM_CLOSED)),
    ("5.1 reset: DATA", lambda c: c.send(c.head(1, POST, end=False), reset(1), data(1, b"x")), Resets(1, STREAM_CLOSED)),
    ("5.1 reset: HEADERS", lambda c: c.send(c.head(1, POST, end=False), reset(1), c.head(1)), Resets(1, STREAM_CLOSED)),
    ("5.1 reset: CONTINUATION", lambda c: c.send(c.head(1, POST, end=False), reset(1), frame(CONTINUATION, END_HEADERS,
     1, b"\x82")),
     Resets(1, STREAM_CLOSED, PROTOCOL_ERROR)),
    ("5.3.1 HEADERS that depend on themselves", lambda c: c.send(
        c.head(1, flags=END_HEADERS | PRIORITISED, prefix=struct.pack(">IB", 1, 0))), Resets(1, PROTOCOL_ERROR)),
    ("5.3.1 PRIORITY that depends on itself", sends(priority(2, 2)), Resets(2, PROTOCOL_ERROR)),
    ("6.3 PRIORITY of 4 bytes", lambda c: c.send(c.head(1, POST, end=False), frame(PRIORITY, 0, 1, bytes(4))), Resets(1,
     FRAME_SIZE_ERROR)),
    ("6.3 PRIORITY of 6 bytes", lambda c: c.send(c.head(1, POST, end=False), frame(PRIORITY, 0, 1, bytes(6))), Resets(1,
     FRAME_SIZE_ERROR)),
    ("6.9 WINDOW_UPDATE of a stream by 0", lambda c: (held(c), c.send(window_update(1, 0))), Resets(1, PROTOCOL_ERROR)),
    ("6.9.1 a stream's window of 2^31", lambda c: c.send(c.head(1, POST, end=False), window_update(1, HALF)),
     Resets(1, FLOW_CONTROL_ERROR)),
    ("6.9.2 SETTINGS that take a stream's window over 2^31-1", lambda c: c.send(
        c.head(1, POST, end=False), window_update(1, HALF - 65535), settings((INITIAL_WINDOW_SIZE, 65536))),
     Resets(1, FLOW_CONTROL_ERROR)),
    ("8.1 HEADERS again without END_STREAM", lambda c: c.send(c.head(1, POST, end=False), c.head(1, [("x", "y")],
     end=False)),
     Resets(1, PROTOCOL_ERROR)),
    ("8.1 a request again as trailers", lambda c: c.send(c.head(1, POST, end=False), c.head(1, POST)), Resets(1,
     PROTOCOL_ERROR)),
    ("8.1 a pseudo-field in trailers", lambda c: c.send(c.head(1, POST, end=False), data(1, b"hi", end=False),
                                                       c.head(1, [(":method", "GET")])), Resets(1, PROTOCOL_ERROR)),
    ("8.1 a response's in trailers", lambda c: c.send(c.head(1, POST, end=False), c.head(1, [(":status", "200")])),
     Resets(1, PROTOCOL_ERROR)),
    ("8.1 an upper-case name in trailers", lambda c: c.send(c.head(1, POST, end=False), c.head(1, [("X-Sum", "7")])),
     Resets(1, PROTOCOL_ERROR)),
    ("8.1 Connection in trailers", lambda c: c.send(c.head(1, POST, end=False), c.head(1, [("connection", "x")])),
     Resets(1, PROTOCOL_ERROR)),
    ("8.1.1 a length and no DATA", lambda c: c.send(c.head(1, [*POST, ("content-length", "1")])), Resets(1,
     PROTOCOL_ERROR)),
    ("8.1.1 a length and less DATA", upload(1, b"hi", length=3), Resets(1, PROTOCOL_ERROR)),
    ("8.1.1 a length and more DATA", upload(1, b"hi", length=1), Resets(1, PROTOCOL_ERROR)),
    ("8.1.1 a length and more DATA in pieces", upload(1, b"h", b"i", b"!", length=2), Resets(1, PROTOCOL_ERROR)),
    ("8.1.1 a length of nothing and DATA", upload(1, b"hi", length=0), Resets(1, PROTOCOL_ERROR)),
    ("8.1.1 a length and less before trailers", lambda c: c.send(
        c.head(1, [*POST, ("content-length", "3")], end=False), data(1, b"hi", end=False), c.head(1, [("x", "y")])),
     Resets(1, PROTOCOL_ERROR)),
    *[(f"8.2 a name with {name!r}", with_fields((name, "y")), Resets(1, PROTOCOL_ERROR))
      for name in ("X", "x-Y", "x y", "x:y", "x\ty", "x\ny", "x\ry", "x\0y", "", " x", "x ", "x(", "x,y", "x/y", "x=y",
          "x@y",
                   "x[", "x\\y", "x{", '"x"', "x\x7f", "xé", ":x", ":", "::method", ":Method", ":status", "x;y")],
    *[(f"8.2.1 a value with {value!r}", with_fields(("x", value)), Resets(1, PROTOCOL_ERROR))
      for value in ("a\0b", "a\nb", "a\rb", "a\r\nb: c", "\n", "\r", "\0",
          "a\r\n\r\nGET /inner HTTP/1.1\r\nhost: t.local\r\n\r\n",
                    " a", "a ", "\ta", "a\t", " ", "a\x01b", "a\x7fb", "a\x0bb")],
    *[(f"8.2.2 {name}", with_fields((name, value)), Resets(1, PROTOCOL_ERROR))
      for name, value in (("connection", "keep-alive"), ("connection", "close"), ("connection", "x-hop"), ("keep-alive",
          "timeout=5"),
                          ("proxy-connection", "keep-alive"), ("transfer-encoding", "chunked"), ("transfer-encoding",
                           "gzip"),
                          ("upgrade", "h2c"), ("upgrade", "websocket"), ("te", "gzip"), ("te", "trailers, gzip"), ("te",
                           ""))],
    *[(f"8.3.1 {name} of {values}", instead(name, *values), Resets(1, PROTOCOL_ERROR))
      for name, values in ((":method", []), (":scheme", []), (":path", []), (":method", ["GET", "GET"]), (":scheme",
          ["https", "http"]),
                           (":path", ["/a", "/b"]), (":authority", ["t.local", "t.local"]), (":path", [""]))],
    *[(f"8.3.1 {name} of {value!r}", instead(name, value), Refuses(1))
      for name, values in (
          (":method", ("", "GET /inner HTTP/1.1\r\nx:", "G T", "GET\0", "GET\r\n", "GE(T", "get", " GET")),
          (":scheme", ("", "ht tp", "ftp", "https:", "http\0")),
          (":path", ("a", "*", "/a b", "/a\r\nx: y", "/a HTTP/1.1\r\nhost: x\r\n\r\nGET /inner", "/a\0", "/a\t", "/a#b",
           "/é",
                     "/a\\b", "http://t.local/a", "t.local:443", "/%", "?x", " /a", "/a ")),
          (":authority", ("u@t.local", "u:p@t.local", "t.local\r\nx: y", "t.local/a", "t.local\0", "a b", "a,b",
           "t.local:x",
                          "t.local:99999", "[::1", "t.local?x", "t.local#x", "é", "", " t.local", "t.local ")))
      for value in values],
    ("8.3.1 neither :authority nor Host", instead(":authority"), Refuses(1)),
    ("8.3 a pseudo-field behind another", lambda c: c.send(c.head(1, [GET[0], ("x", "y"), *GET[1:]])), Resets(1,
     PROTOCOL_ERROR)),
    ("8.3 a pseudo-field at the end", lambda c: c.send(c.head(1, [*GET[:3], ("x", "y"), GET[3]])), Resets(1,
     PROTOCOL_ERROR)),
    ("8.3.1 Host differs from :authority", with_fields(("host", "other")), Resets(1, PROTOCOL_ERROR)),
    ("8.3.1 two Hosts", with_fields(("host", "t.local"), ("host", "t.local")), Resets(1, PROTOCOL_ERROR)),
    ("8.3.1 Host is broken", lambda c: c.send(c.head(1, [*GET[:2], GET[3], ("host", "a b")])), Resets(1, PROTOCOL_ERROR)),
    *[(f"8.6 content-length of {value!r}", lambda c, value=value: c.send(
        c.head(1, [*POST, ("content-length", value)], end=False), data(1, b"hi")), Resets(1, PROTOCOL_ERROR))
      for value in ("+2", "-2", "0x2", "2,2", "2 2", "two", "", "2.0", "2_", "9" * 20)],
    ("8.6 two lengths", lambda c: c.send(c.head(1, [*POST, ("content-length", "2"), ("content-length", "2")], end=False),
                                        data(1, b"hi")), Resets(1, PROTOCOL_ERROR)),
    ("8.4 :protocol without CONNECT", with_fields(fields=[*GET, (":protocol", "websocket")]), Resets(1, PROTOCOL_ERROR)),
]


@pytest.fixture
def origin():
    server = RawOrigin()
    yield server
    server.stop()


@pytest.fixture
def node(start_node, origin, https_listener):
    return start_node(config.node(https_listener, config.app_origin([origin]), config.site(config.route("/*",
        origin='"app"'))))


@pytest.mark.parametrize("cases", [GOOD, BROKEN, MALFORMED], ids=["good", "broken", "malformed"])
def test_every_frame_in_every_place_gets_its_answer(node, origin, cases):
    wrong = wrong_cases(cases, node.https())
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong)
    assert not origin.unclean, origin.unclean
    assert not [target for target in origin.targets() if "inner" in target]
    assert node.status()
