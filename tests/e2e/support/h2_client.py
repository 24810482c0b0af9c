"""HTTP/2 frame by frame: a client that sends any frames, in any order, with any content, and notes what comes back."""

import select
import socket
import ssl
import struct

import hpack

SECONDS = 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
END_STREAM = ACK = 1
END_HEADERS, PADDED, PRIORITISED = 4, 8, 32
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)
MAX_HEADER_LIST_SIZE = 6

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)

GET = [(":method", "GET"), (":scheme", "https"), (":authority", "t.local"), (":path", "/a")]
POST = [(":method", "POST"), *GET[1:]]


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """`length`: what the header says, where that is not so."""
    size = len(payload) if length is None else length
    return struct.pack(">BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def data(stream, payload=b"", end=True, flags=0):
    return frame(DATA, (END_STREAM if end else 0) | flags, stream, payload)


def settings(*pairs, stream=0):
    return frame(SETTINGS, 0, stream, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def priority(stream, depends_on=0, weight=15):
    return frame(PRIORITY, 0, stream, struct.pack(">IB", depends_on, weight))


def ping(payload=b"12345678", flags=0):
    return frame(PING, flags, 0, payload)


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


class Answer:
    """What has come of one stream."""

    def __init__(self):
        self.heads, self.body, self.ended, self.reset = [], bytearray(), False, None

    @property
    def status(self):
        return int(dict(self.heads[-1])[":status"]) if self.heads else None

    @property
    def over(self):
        return self.ended or self.reset is not None

    def __repr__(self):
        how = "ended" if self.ended else f"reset {self.reset}" if self.reset is not None else "open"
        return f"<{self.status} {bytes(self.body[:60])!r} {how}>"


class H2Client:
    """Speaks TLS with ALPN unless `tls` is None. `answers` and the other notes grow as frames are read."""

    def __init__(self, address, *pairs, tls=client_context, name="t.local", shake=True, grow=True):
        plain = socket.create_connection(address, timeout=SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = tls().wrap_socket(plain, server_hostname=name) if tls else plain
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.answers = {}
        self.pongs, self.settings, self.acks, self.updates = [], {}, 0, {}
        self.goaway = None  # (last stream, code)
        self.closed = False
        self.frames = []  # (type, flags, stream, length) of all that came
        self.grow = grow  # gives back windows as DATA comes
        self.rest = b""
        self.block = b""
        if shake:
            self.send(PREFACE, settings(*pairs))
            self.until(lambda: self.settings is not None and self.acks)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # Sending. What cannot be sent any more, as the node has answered and closed, is not an error.
    def send(self, *frames):
        try:
            self.sock.sendall(b"".join(frames))
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass

    def head(self, stream, fields=GET, end=True, flags=END_HEADERS, prefix=b"", suffix=b""):
        """A HEADERS frame; `fields` are pairs, or the bytes of a header block."""
        block = fields if isinstance(fields, bytes) else self.encoder.encode(fields)
        return frame(HEADERS, (END_STREAM if end else 0) | flags, stream, prefix + block + suffix)

    def ask(self, stream, fields=GET, body=None):
        self.send(self.head(stream, fields, body is None), b"" if body is None else data(stream, body))
        return self.answer(stream)

    # Receiving.
    def _take(self, kind, flags, stream, payload):
        self.frames.append((kind, flags, stream, len(payload)))
        answer = self.answers.setdefault(stream, Answer()) if stream else None
        if kind in (HEADERS, CONTINUATION):
            self.block += payload
            if flags & END_HEADERS:
                answer.heads.append(self.decoder.decode(self.block))
                self.block = b""
        elif kind == DATA:
            answer.body += payload
            if payload and self.grow:
                self.send(window_update(0, len(payload)), b"" if flags & END_STREAM else window_update(stream,
                    len(payload)))
        elif kind == RST_STREAM:
            answer.reset = struct.unpack(">I", payload)[0]
        elif kind == SETTINGS and flags & ACK:
            self.acks += 1
        elif kind == SETTINGS:
            self.settings.update(struct.iter_unpack(">HI", payload))
            self.send(frame(SETTINGS, ACK))
        elif kind == PING:
            self.pongs.append(payload) if flags & ACK else self.send(ping(payload, ACK))
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8])
        elif kind == WINDOW_UPDATE:
            self.updates[stream] = self.updates.get(stream, 0) + struct.unpack(">I", payload)[0]
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            answer.ended = True

    def _read(self, seconds):
        """Takes what comes next; False when nothing came in time."""
        pending = self.sock.pending() if isinstance(self.sock, ssl.SSLSocket) else 0
        if not pending and not select.select([self.sock], [], [], seconds)[0]:
            return False
        try:
            piece = self.sock.recv(65536)
        except (ConnectionResetError, ssl.SSLError, OSError):
            piece = b""
        self.closed = not piece
        self.rest += piece
        while len(self.rest) >= 9:
            high, low, kind, flags, stream = struct.unpack(">BHBBI", self.rest[:9])
            end = 9 + (high << 16 | low)
            if len(self.rest) < end:
                break
            payload, self.rest = self.rest[9:end], self.rest[end:]
            self._take(kind, flags, stream & 0x7FFFFFFF, payload)
        return True

    def take_what_is_there(self):
        while not self.closed and self._read(0):
            pass

    def until(self, done, seconds=SECONDS):
        """Reads until done(), the end of the connection, or a time without a byte; whether it was done."""
        while not done():
            if self.closed or not self._read(seconds):
                return bool(done())
        return True

    def stream(self, number):
        """What has come of a stream so far."""
        return self.answers.get(number, Answer())

    def answer(self, stream):
        """The same when the stream, or the connection, is over."""
        self.until(lambda: self.stream(stream).over)
        return self.stream(stream)

    def alive(self):
        """Whether the connection answers a PING."""
        before = len(self.pongs)
        self.send(ping(b"are you?"))
        return self.until(lambda: len(self.pongs) > before) and self.goaway is None

    def ended_with(self):
        """The code of the GOAWAY that ended the connection; None without one, or when it goes on."""
        self.until(lambda: self.closed)
        return self.goaway[1] if self.goaway and self.closed else None
