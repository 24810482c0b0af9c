"""Imaging is separate processes: one that is killed costs at most the request it was working on."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from support import config, photos
from support.client import Connection, curl
from support.process import children, cpu_ticks

TRIES = 6


@pytest.fixture
def node(start_node, s3):
    return start_node(config.node(config.photo_site(s3)), s3.environment())


@pytest.fixture(scope="module")
def big_photo(tmp_path_factory):
    """Progressive and 24 megapixels: decoding takes long enough to be killed in the middle."""
    path = tmp_path_factory.mktemp("big") / "big.jpg"
    path.write_bytes(photos.with_position(photos.picture(6000, 4000), progressive=True))
    return path


def program_of(pid):
    """"" for one that has ended since it was listed, and is perhaps not reaped yet."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def supervisor(node):
    found = [pid for pid in children(node.pid) if program_of(pid).endswith("vignette-imaging")]
    return found[0] if found else None


def workers(node):
    parent = supervisor(node)
    return children(parent) if parent else []


def kill_while_it_works(node, path, victims):
    """Asks for `path`, SIGKILLs victims() as soon as a worker has begun to compute, returns the status."""

    async def scene():
        before = {pid: cpu_ticks(pid) for pid in workers(node)}
        connection = Connection(*node.http())
        asking = asyncio.create_task(connection.get(path))
        deadline = time.monotonic() + 20
        while not asking.done() and time.monotonic() < deadline:
            if any(cpu_ticks(pid) > before.get(pid, 0) + 1 for pid in workers(node)):
                for pid in victims():
                    os.kill(pid, signal.SIGKILL)
                break
            await asyncio.sleep(0.001)
        answer = await asyncio.wait_for(asking, 30)
        connection.close()
        return answer.status

    return asyncio.run(scene())


def one_request_pays(node, s3, photo, victims, name, eventually):
    s3.put(f"{name}.jpg", photo)
    assert curl(node.url(f"/i/-/w=100,f=jpeg/{name}.jpg")).status == 200  # the original is in the cache now
    before = set(workers(node)) | {supervisor(node)}
    statuses = []
    for attempt in range(TRIES):
        statuses.append(kill_while_it_works(node, f"/i/-/w={900 + attempt},f=webp/{name}.jpg", victims))
        assert curl(node.url(f"/i/-/w={300 + attempt},f=jpeg/{name}.jpg")).status == 200, "the next request works"
        if statuses[-1] != 200:
            break
    assert statuses[-1] in (500, 502, 503), f"no request was hit by the kill: {statuses}"
    eventually(lambda: set(workers(node)) and not before >= set(workers(node)), 10, "new worker processes")
    assert s3.gets(f"{name}.jpg") == 1
    return before


def test_a_killed_imaging_worker_costs_one_request(node, s3, big_photo, eventually):
    s3.reset_counts()
    parent = supervisor(node)
    one_request_pays(node, s3, big_photo, lambda: workers(node), "worker", eventually)
    assert supervisor(node) == parent


def test_a_killed_supervisor_costs_one_request_and_is_started_again(node, s3, big_photo, eventually):
    s3.reset_counts()
    before = one_request_pays(node, s3, big_photo, lambda: [supervisor(node)], "supervisor", eventually)
    assert supervisor(node) not in before
    for pid in before:
        eventually(lambda gone=pid: not Path(f"/proc/{gone}").exists(), 10, f"old imaging process {pid} gone")


def test_a_supervisor_killed_at_rest_costs_nothing_later(node, s3, photo_files, eventually):
    s3.put("rest.jpg", photo_files[0])
    assert curl(node.url("/i/-/w=100/rest.jpg")).status == 200
    old = supervisor(node)
    os.kill(old, signal.SIGKILL)
    eventually(lambda: supervisor(node) not in (None, old) and workers(node), 10, "a new supervisor with workers")
    assert curl(node.url("/i/-/w=200/rest.jpg")).status == 200


def test_imaging_workers_are_sandboxed_and_know_no_secret(node, s3, photo_files, eventually):
    s3.put("box.jpg", photo_files[0])
    assert curl(node.url("/i/-/w=100/box.jpg")).status == 200
    assert workers(node)
    for pid in workers(node):
        # A worker that was forked just now has yet to close its own door: none is given a picture before.
        status = Path(f"/proc/{pid}/status")
        eventually(lambda file=status: "\nSeccomp:\t2\n" in file.read_text(), 10, f"worker {pid} in its sandbox")
    for pid in [supervisor(node), *workers(node)]:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"AWS_SECRET" not in environment and b"S3RVER" not in environment
        names = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert not any(name.endswith((".key", "access.log", "node.toml")) for name in names), names


def test_no_imaging_process_outlives_the_node(node, s3, eventually):
    eventually(lambda: workers(node), 10, "imaging workers")
    pids = [supervisor(node), *workers(node)]
    os.kill(node.pid, signal.SIGKILL)
    assert node.child.wait(10) == -signal.SIGKILL
    for pid in pids:
        eventually(lambda gone=pid: not Path(f"/proc/{gone}").exists(), 10, f"imaging process {pid} gone")


def test_inks_become_the_colours_that_browsers_show(node, s3, tmp_path):
    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255), (40, 80, 120, 60)]
    picture = Image.new("CMYK", (32 * len(inks), 32))
    for number, ink in enumerate(inks):
        picture.paste(ink, (32 * number, 0, 32 * number + 32, 32))
    picture.save(tmp_path / "inks.jpg", quality=100, subsampling=0)
    s3.put("inks.jpg", tmp_path / "inks.jpg")
    answer = curl(node.url(f"/i/-/w={picture.width},f=png/inks.jpg"))
    assert answer.status == 200
    shown = photos.opened(answer.body).convert("RGB")
    for number, (cyan, magenta, yellow, black) in enumerate(inks):
        wanted = [(255 - ink) * (255 - black) // 255 for ink in (cyan, magenta, yellow)]
        got = shown.getpixel((32 * number + 16, 16))
        assert all(abs(a - b) <= 3 for a, b in zip(got, wanted)), (inks[number], wanted, got)


def test_hostile_pictures_are_refused_and_the_next_photo_works(node, s3, photo_files, tmp_path):
    cases = {
        "empty.jpg": (b"", 422),
        "text.jpg": (b"<html><body>not a picture</body></html>", 415),
        "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', 415),
        "cut.jpg": (photo_files[0].read_bytes()[:30_000], 422),
    }
    for name, (content, status) in cases.items():
        (tmp_path / name).write_bytes(content)
        s3.put(name, tmp_path / name)
        assert curl(node.url(f"/i/-/w=100/{name}")).status == status, name
    s3.put("good.jpg", photo_files[0])
    assert curl(node.url("/i/-/w=100/good.jpg")).status == 200
