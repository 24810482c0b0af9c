"""An origin whose bytes are a function of URL and version, so that whoever gets an answer can tell whether it is right.

`/i/N` never changes and may be kept for a day; `/c/N` gets new versions and may be kept for a second; `/p/N` gets new
versions, may be kept for a day until it is purged, and its body comes in two halves with some time between them.
"""

import asyncio
import hashlib
import threading
import time

FRESH_SECONDS = 1
# A version may be served so long after the next one was published: its lifetime, and a machine that is busy.
SLACK_SECONDS = FRESH_SECONDS + 2
PAUSE_SECONDS = 0.05  # between the halves of what is purged: long enough for a purge to come in between


def body_of(path, version):
    seed = hashlib.sha256(f"{path} {version}".encode()).hexdigest().encode()
    size = 200 + int(seed[:8], 16) % 60_000
    return (seed * (size // len(seed) + 1))[:size]


class Published:
    """What was published under each URL, and when. Used from one thread."""

    def __init__(self):
        self._times = {}  # path -> when each version appeared, the first is version 1
        self._purges = {}  # path -> (when, the oldest version that may be served from then on, whatever its age)

    def version(self, path):
        return len(self._times.setdefault(path, [0.0]))

    def publish(self, path):
        self.version(path)
        self._times[path].append(time.monotonic())

    def purged(self, path, version):
        """Call it when a purge of the URL has been answered that was ordered when `version` was the newest."""
        self._purges.setdefault(path, []).append((time.monotonic(), version))

    def oldest_allowed(self, path, asked_at):
        self.version(path)
        purged = max((version for at, version in self._purges.get(path, []) if at <= asked_at), default=1)
        if path.startswith("/p/"):
            return purged
        allowed = max(n for n, born in enumerate(self._times[path], 1) if born <= asked_at - SLACK_SECONDS or n == 1)
        return max(allowed, purged)

    def complaint(self, path, answer, asked_at):
        """What is wrong with an answer, or None."""
        if answer.status != 200:
            return f"{path}: status {answer.status}"
        version = int((answer.header("etag") or '"0"').strip('"'))
        oldest = self.oldest_allowed(path, asked_at)
        if not oldest <= version <= self.version(path):
            return f"{path}: version {version}, allowed from {oldest} to {self.version(path)}"
        if answer.body != body_of(path, version):
            return f"{path}: the bytes are not those of version {version}"
        return None


class PublishingOrigin:
    """Serves what is published, in a thread of its own, and counts who asked for what."""

    def __init__(self, published):
        self.published = published
        self.requests = {}  # path -> how often it was asked for
        self.not_modified = 0
        self.bind = None
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self._run, args=(ready,), daemon=True).start()
        assert ready.wait(10)

    def _run(self, ready):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.bind = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                answer = self._answer(head)
                half = len(answer) // 2 if head.startswith("GET /p/") else len(answer)
                writer.write(answer[:half])
                await writer.drain()
                await asyncio.sleep(PAUSE_SECONDS if half < len(answer) else 0)
                writer.write(answer[half:])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, head):
        path = head.split(" ", 2)[1]
        self.requests[path] = self.requests.get(path, 0) + 1
        version = self.published.version(path)
        lifetime = FRESH_SECONDS if path.startswith("/c/") else 86400
        fields = f'ETag: "{version}"\r\nCache-Control: max-age={lifetime}\r\n'
        if f'if-none-match: "{version}"' in head.lower():
            self.not_modified += 1
            return f"HTTP/1.1 304 Not Modified\r\n{fields}\r\n".encode()
        body = body_of(path, version)
        return f"HTTP/1.1 200 OK\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body
