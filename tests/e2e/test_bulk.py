"""A large upload and a large download at a reader's slow pace pass through without being held.

The reader keeps its 10 MB/s to the end, so this takes 107 s, nearly all of it waiting.
"""

import asyncio
import json
import time

from support import config
from support.bulk import MIB, download, expected_digest, upload
from support.process import RssWatch

GIB = 1 << 30
ALLOWED_GROWTH = 64 * MIB
READER_BYTES_PER_SECOND = 10_000_000


def test_one_gibibyte_up_and_one_down_at_10_megabytes_a_second_keep_memory_flat(start_node, apps):
    node = start_node(
        config.node(
            config.app_origin(apps[:1]),
            config.site(config.route("/*", origin='"app"', max_body='"2GiB"', uploads='"stream"')),
            memory="32MiB",
        )
    )

    async def both():
        return await asyncio.gather(
            download(node.http(), f"/size/{GIB}", READER_BYTES_PER_SECOND), upload(node.http(), "/echo", GIB)
        )

    started = time.monotonic()
    with RssWatch(node.pid) as memory:
        (status, total, digest), (upload_status, answer) = asyncio.run(both())
    seconds = time.monotonic() - started
    print(f"memory grew by {memory.growth() / MIB:.1f} MiB in {seconds:.0f} s")
    wanted = expected_digest(GIB)
    assert (status, total, digest) == (200, GIB, wanted)
    assert seconds >= GIB / READER_BYTES_PER_SECOND - 1, "the reader kept its pace"
    assert upload_status == 200
    seen = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
    assert (seen["bytes"], seen["sha256"]) == (GIB, wanted)
    assert memory.growth() < ALLOWED_GROWTH, f"{memory.growth() / MIB:.1f} MiB"
