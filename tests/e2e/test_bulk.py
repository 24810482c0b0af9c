"""Large bodies pass through without being held: memory stays flat whatever the sizes and the reader's pace."""

import asyncio
import hashlib
import json
import time

import pytest

from support import config
from support.client import parse_head
from support.process import RssWatch

GIB = 1 << 30
MIB = 1 << 20
ALLOWED_GROWTH = 64 * MIB
READER_BYTES_PER_SECOND = 10_000_000
SLOW_SECONDS = 15  # how long the reader keeps its pace; then it takes the rest as fast as it comes
PIECE = bytes(range(256)) * 256


@pytest.fixture
def node(start_node, apps):
    setup = config.node(
        config.app_origin(apps[:1]), config.site(config.route("/*", origin='"app"', max_body='"2GiB"')), memory="32MiB"
    )
    return start_node(setup)


def expected_digest(total):
    digest = hashlib.sha256()
    for _ in range(total // len(PIECE)):
        digest.update(PIECE)
    return digest.hexdigest()


async def download(address, path, slow_seconds=0, piece_bytes=256 * 1024):
    """(status, length, SHA-256) of a body that is read at 10 MB/s for the first `slow_seconds`."""
    reader, writer = await asyncio.open_connection(*address, limit=MIB)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    status, headers = parse_head(await reader.readuntil(b"\r\n\r\n"))
    length = int(dict(headers)["content-length"])
    digest, total, started = hashlib.sha256(), 0, time.monotonic()
    while total < length:
        piece = await reader.read(piece_bytes)
        if not piece:
            break
        digest.update(piece)
        total += len(piece)
        elapsed = time.monotonic() - started
        if elapsed < slow_seconds and total > elapsed * READER_BYTES_PER_SECOND:
            await asyncio.sleep(total / READER_BYTES_PER_SECOND - elapsed)
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


def test_one_gibibyte_up_and_one_down_at_10_megabytes_a_second_keep_memory_flat(node):
    async def both():
        return await asyncio.gather(
            download(node.http(), f"/size/{GIB}", SLOW_SECONDS), upload(node.http(), "/echo?plain=1", GIB)
        )

    with RssWatch(node.pid) as memory:
        (status, total, digest), (upload_status, answer) = asyncio.run(both())
    wanted = expected_digest(GIB)
    assert (status, total, digest) == (200, GIB, wanted)
    assert upload_status == 200
    seen = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
    assert (seen["bytes"], seen["sha256"]) == (GIB, wanted)
    assert memory.growth() < ALLOWED_GROWTH, f"{memory.growth() / MIB:.1f} MiB"


def test_a_cacheable_object_larger_than_the_memory_tier_passes_whole(node):
    total = 256 * MIB
    path = f"/size/{total}?cache=600"

    async def several():
        # One reader is slow: it paces a fill that is past its size limit, and must not make memory grow.
        return await asyncio.gather(download(node.http(), path, 3), download(node.http(), path))

    with RssWatch(node.pid) as memory:
        answers = asyncio.run(several())
        answers.append(asyncio.run(download(node.http(), path)))
    wanted = expected_digest(total)
    for answer in answers:
        assert answer == (200, total, wanted)
    assert memory.growth() < ALLOWED_GROWTH, f"{memory.growth() / MIB:.1f} MiB"
