"""Bodies too large to hold: read at a pace, sent in pieces, compared by digest."""

import asyncio
import hashlib
import time

from .client import parse_head

MIB = 1 << 20
PIECE = bytes(range(256)) * 256  # what the app's /size/N repeats


def expected_digest(total):
    digest = hashlib.sha256()
    for _ in range(total // len(PIECE)):
        digest.update(PIECE)
    return digest.hexdigest()


async def download(address, path, bytes_per_second=None, slow_seconds=float("inf")):
    """(status, length, SHA-256) of a body, read at this pace for the first `slow_seconds`."""
    reader, writer = await asyncio.open_connection(*address, limit=MIB)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    status, headers = parse_head(await reader.readuntil(b"\r\n\r\n"))
    length = int(dict(headers)["content-length"])
    digest, total, started = hashlib.sha256(), 0, time.monotonic()
    while total < length:
        piece = await reader.read(256 * 1024)
        if not piece:
            break
        digest.update(piece)
        total += len(piece)
        elapsed = time.monotonic() - started
        if bytes_per_second and elapsed < slow_seconds and total > elapsed * bytes_per_second:
            await asyncio.sleep(total / bytes_per_second - elapsed)
    writer.close()
    return status, total, digest.hexdigest()


async def upload(address, path, total):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {total}\r\nConnection: close\r\n\r\n".encode())
    for _ in range(total // len(PIECE)):
        writer.write(PIECE)
        await writer.drain()
    status, _ = parse_head(await reader.readuntil(b"\r\n\r\n"))
    body = await reader.read(-1)
    writer.close()
    return status, body
