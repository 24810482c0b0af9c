"""Raw HTTP/1.1 on sockets: a client that sends any bytes, and an origin that answers any bytes.

The origin reads requests more strictly than a server has to, and keeps a note of everything that is not as
clean as a proxy must send it.
"""

import dataclasses
import re
import socket
import struct
import threading

SECONDS = 8

REQUEST_LINE = re.compile(rb"([A-Z0-9!#$%&'*+.^_`|~-]+) (/[!-~]*|\*) HTTP/1\.1")
FIELD = re.compile(rb"([A-Za-z0-9!#$%&'*+.^`|~-]+): ?([\t\x20-\x7e\x80-\xff]*)")  # no underscore
HOP_BY_HOP = (b"upgrade", b"te", b"trailer", b"expect", b"keep-alive", b"proxy-connection", b"http2-settings")


class Ended(Exception):
    """The peer closed; `partial` is what was there."""

    def __init__(self, partial):
        super().__init__(f"ended after {partial[-80:]!r}")
        self.partial = partial


class Reader:
    def __init__(self, sock):
        self.sock, self.data = sock, b""

    def more(self):
        try:
            piece = self.sock.recv(65536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise Ended(self.data)
        self.data += piece

    def until(self, mark):
        while mark not in self.data:
            self.more()
        found, _, self.data = self.data.partition(mark)
        return found

    def exactly(self, count):
        if len(self.data) < count:
            whole = bytearray(self.data)
            while len(whole) < count:
                self.data = b""
                try:
                    self.more()
                except Ended:
                    raise Ended(bytes(whole)) from None
                whole += self.data
            self.data = bytes(whole)
        found, self.data = self.data[:count], self.data[count:]
        return found

    def rest(self):
        try:
            while True:
                self.more()
        except Ended:
            return self.data

    def chunks(self):
        """A chunked body without extensions and trailers."""
        body = bytearray()
        while True:
            line = self.until(b"\r\n")
            assert re.fullmatch(rb"[0-9a-fA-F]{1,15}", line), f"chunk size {line!r}"
            body += self.exactly(int(line, 16))
            assert self.exactly(2) == b"\r\n", "no CRLF behind a chunk"
            if int(line, 16) == 0:
                return bytes(body)


@dataclasses.dataclass
class Reply:
    status: int
    fields: dict  # lower-case name -> value; the last when there are several
    body: bytes
    whole: bool = True


class RawClient:
    def __init__(self, address):
        self.sock = socket.create_connection(address, timeout=SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        """What cannot be sent any more, as the node has answered and closed, is not an error."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def reset(self):
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def reply(self, head_only=False):
        """The next answer that is not 1xx; None at the end of the stream. `whole` is false for one cut short."""
        try:
            head = self.reader.until(b"\r\n\r\n")
        except Ended as ended:
            assert ended.partial == b"", f"half a head: {ended.partial!r}"
            return None
        lines = head.split(b"\r\n")
        match = re.fullmatch(rb"HTTP/1\.1 ([1-5]\d\d) [\x20-\x7e]*", lines[0])
        assert match, f"status line {lines[0]!r}"
        fields = {}
        for line in lines[1:]:
            field = re.fullmatch(rb"([!-9;-~]+): ?([\t\x20-\x7e\x80-\xff]*)", line)
            assert field, f"field line {line!r}"
            fields[field[1].lower().decode()] = field[2].decode("latin-1")
        status = int(match[1])
        if status < 200:
            return self.reply(head_only)
        assert not ("content-length" in fields and "transfer-encoding" in fields), head
        reply = Reply(status, fields, b"")
        if head_only or status in (204, 304):
            return reply
        try:
            if "transfer-encoding" in fields:
                reply.body = self.reader.chunks()
            elif "content-length" in fields:
                reply.body = self.reader.exactly(int(fields["content-length"]))
            else:
                assert fields.get("connection") == "close", head
                reply.body = self.reader.rest()
                self.reader.data = b""
        except Ended:
            reply.whole = False
            self.reader.data = b""
        return reply

    def at_end(self):
        """Nothing comes any more: the stream ends, by FIN or RST."""
        return self.reader.rest() == b""


class RawOrigin:
    """Answers "METHOD TARGET BODY" as text, and where `script` has the path, its bytes.

    script[path] = (bytes, after): after is "keep", "close", "reset", or a callable(socket).
    """

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.bind = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.script = {}
        self.seen = []  # (connection number, method, target, fields, body)
        self.unclean = []
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.listener.close()

    def targets(self):
        return [target for _, _, target, _, _ in self.seen]

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection, number):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = Reader(connection)
        with connection:
            try:
                while self._exchange(connection, reader, number):
                    pass
            except (Ended, OSError):
                return  # a request that is broken off is how a proxy tells of a client that failed
            except AssertionError as error:
                self.unclean.append(str(error))

    def _exchange(self, connection, reader, number):
        method, target, fields = self._head(reader.until(b"\r\n\r\n"))
        if b"transfer-encoding" in fields:
            body = reader.chunks()
        else:
            body = reader.exactly(int(fields.get(b"content-length", b"0")))
        self.seen.append((number, method, target, fields, body))
        text = f"{method} {target} ".encode() + body
        default = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text)
        answer, after = self.script.get(target.partition("?")[0], (None, "keep"))
        if answer is None:
            answer = default if method == "HEAD" else default + text
        connection.sendall(answer)
        if callable(after):
            after(connection)
        if after == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return after == "keep"

    def _head(self, head):
        lines = head.split(b"\r\n")
        match = REQUEST_LINE.fullmatch(lines[0])
        assert match, f"request line {lines[0]!r}"
        fields = {}
        for line in lines[1:]:
            field = FIELD.fullmatch(line)
            assert field, f"field line {line!r} of {head!r}"
            name = field[1].lower()
            single = name in (b"host", b"content-length", b"transfer-encoding", b"connection")
            assert not (single and name in fields), f"two {name!r} of {head!r}"
            assert name not in HOP_BY_HOP, f"{line!r} was passed on"
            fields[name] = field[2]
        # Empty is right for an HTTP/1.0 request that named none (RFC 9112 section 3.2).
        assert b"host" in fields and re.fullmatch(rb"[a-z0-9_.:\[\]-]*", fields[b"host"]), f"host of {head!r}"
        assert not (b"content-length" in fields and b"transfer-encoding" in fields), head
        assert re.fullmatch(rb"0|[1-9]\d*", fields.get(b"content-length", b"0")), head
        assert fields.get(b"transfer-encoding", b"chunked") == b"chunked", head
        return match[1].decode(), match[2].decode(), fields
