"""Clients: curl as the independent witness, and a small asyncio HTTP/1.1 client for many at once."""

import asyncio
import dataclasses
import subprocess


@dataclasses.dataclass
class Answer:
    status: int
    headers: list  # (lower-case name, value) in order
    body: bytes

    def header(self, name):
        """All values of a field joined by comma; None when it is absent."""
        values = [value for field, value in self.headers if field == name.lower()]
        return ", ".join(values) if values else None

    @property
    def cache_status(self):
        return self.header("cache-status") or ""


def parse_head(block):
    lines = block.decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ", 2)[1])
    headers = []
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(":")
            headers.append((name.lower(), value.strip()))
    return status, headers


def curl(url, *arguments, seconds=60):
    """One request with curl; the last answer when there are several (100, redirects)."""
    command = ["curl", "-sS", "-i", "--max-time", str(seconds), *map(str, arguments), url]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.decode()}"
    rest = done.stdout
    while True:
        head, _, rest = rest.partition(b"\r\n\r\n")
        status, headers = parse_head(head)
        if status >= 200:
            return Answer(status, headers, rest)


class Broken(Exception):
    """The connection ended where an answer was due."""


class Connection:
    """A keep-alive connection. Not for HEAD; bodies by length, chunked or to the end."""

    def __init__(self, host, port):
        self.host, self.port = host, port
        self.reader = self.writer = None
        self.used = 0
        self.again = 0  # requests sent a second time

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
        self.used = 0

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None

    async def get(self, path, host="test", headers=()):
        """A request on a connection that the server closed while it was idle is sent once more, on a new one."""
        if self.writer is None:
            await self.open()
        reused = self.used > 0
        try:
            return await self._exchange(path, host, headers)
        except (Broken, ConnectionError) as error:
            self.close()
            if not reused or getattr(error, "after_bytes", False):
                raise
        self.again += 1
        await self.open()
        return await self._exchange(path, host, headers)

    async def _exchange(self, path, host, headers):
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode("latin-1"))
        await self.writer.drain()
        try:
            block = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            broken = Broken("no head")
            broken.after_bytes = bool(error.partial)
            raise broken from None
        status, fields = parse_head(block)
        answer = Answer(status, fields, b"")
        try:
            answer.body = await self._body(answer)
        except asyncio.IncompleteReadError:
            broken = Broken("body cut short")
            broken.after_bytes = True
            raise broken from None
        self.used += 1
        if "close" in (answer.header("connection") or "").lower():
            self.close()
        return answer

    async def _body(self, answer):
        if answer.status in (204, 304):
            return b""
        if "chunked" in (answer.header("transfer-encoding") or ""):
            pieces = []
            while True:
                size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
                piece = await self.reader.readexactly(size + 2)
                if size == 0:
                    return b"".join(pieces)
                pieces.append(piece[:-2])
        length = answer.header("content-length")
        if length is not None:
            return await self.reader.readexactly(int(length))
        body = await self.reader.read(-1)
        self.close()
        return body


def gather(*coroutines, seconds=60):
    """Runs all at once in one loop; their results in order."""

    async def everything():
        return await asyncio.wait_for(asyncio.gather(*coroutines), seconds)

    return asyncio.run(everything())


class Load:
    """GETs from several connections until `until()` is true; keeps answers' outcomes, not bodies."""

    def __init__(self, host, port, path, clients=16, reconnect_every=50, pause=0.002):
        self.host, self.port, self.path = host, port, path
        self.clients, self.reconnect_every, self.pause = clients, reconnect_every, pause
        self.failures = []
        self.requests = 0
        self.again = 0  # requests sent a second time, as their connection was closed before an answer
        self.on_answer = None  # called with each Answer

    async def run(self, stop):
        """`stop` is an asyncio.Event."""
        await asyncio.gather(*(self._client(stop, n) for n in range(self.clients)))

    async def _client(self, stop, number):
        connection = Connection(self.host, self.port)
        while not stop.is_set():
            try:
                answer = await asyncio.wait_for(connection.get(self.path), 30)
                self.requests += 1
                if answer.status != 200:
                    self.failures.append(f"{answer.status} {answer.body[:200]!r}")
                if self.on_answer:
                    self.on_answer(answer)
            except (Broken, OSError, asyncio.TimeoutError) as error:
                self.requests += 1
                self.failures.append(f"{type(error).__name__}: {error}")
                connection.close()
            if connection.used >= self.reconnect_every:
                connection.close()
            await asyncio.sleep(self.pause)
        self.again += connection.again
        connection.close()
