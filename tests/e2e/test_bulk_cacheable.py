"""Cacheable answers that no memory tier can hold pass through whole, to slow and fast readers at once."""

import asyncio

from support import config
from support.bulk import MIB, PIECE, download, expected_digest
from support.client import curl
from support.process import RssWatch

ALLOWED_GROWTH = 64 * MIB
TOTAL = 256 * MIB


def test_a_cacheable_object_larger_than_the_memory_tier_passes_whole(start_node, apps):
    node = start_node(
        config.node(config.app_origin(apps[:1]), config.site(config.route("/*", origin='"app"')), memory="32MiB")
    )
    path = f"/size/{TOTAL}?cache=600"

    async def several():
        # One reader is slow: it paces a fill that is past its size limit, and must not make memory grow.
        return await asyncio.gather(download(node.http(), path, 10_000_000, 3), download(node.http(), path))

    with RssWatch(node.pid) as memory:
        answers = asyncio.run(several())
        answers.append(asyncio.run(download(node.http(), path)))
    print(f"memory grew by {memory.growth() / MIB:.1f} MiB")
    wanted = expected_digest(TOTAL)
    for answer in answers:
        assert answer == (200, TOTAL, wanted)
    assert memory.growth() < ALLOWED_GROWTH, f"{memory.growth() / MIB:.1f} MiB"
    assert "; hit" not in curl(node.url(path), "-I").cache_status, "it was never stored"
    small = node.url("/fresh?age=60")
    assert curl(small).body == curl(small).body, "the tier still keeps what fits"


def test_an_object_larger_than_the_memory_tier_is_cached_in_parts(start_node, tmp_path):
    with open(tmp_path / "large.bin", "wb") as file:
        for _ in range(TOTAL // len(PIECE)):
            file.write(PIECE)
    origin = f'[origin.local]\ndirectory = "{tmp_path}"\n'
    node = start_node(config.node(origin, config.site(config.route("/*", origin='"local"')), memory="32MiB"))

    async def several():
        return await asyncio.gather(
            download(node.http(), "/large.bin", 10_000_000, 3), download(node.http(), "/large.bin")
        )

    with RssWatch(node.pid) as memory:
        answers = asyncio.run(several())
        parts = [curl(node.url("/large.bin"), "-r", "200000000-200000999") for _ in range(2)]
        tail = curl(node.url("/large.bin"), "-r", "-1000")
    print(f"memory grew by {memory.growth() / MIB:.1f} MiB")
    assert answers == [(200, TOTAL, expected_digest(TOTAL))] * 2
    for part in parts:
        assert part.status == 206
        assert part.header("content-range") == f"bytes 200000000-200000999/{TOTAL}"
        assert part.body == (PIECE * 2)[200000000 % len(PIECE) :][:1000]
    assert "; hit" in parts[1].cache_status
    assert tail.body == PIECE[-1000:]
    assert memory.growth() < ALLOWED_GROWTH, f"{memory.growth() / MIB:.1f} MiB"
