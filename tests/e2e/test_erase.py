"""What an erasing purge named is not in the volume's file any more when it is answered, not in any size and not in parts of a
large photo; and where it was cut off, by kill -9 or by a failing disk, not once the node has started again."""

import json
import mmap
import subprocess

import pytest

from support import config, photos
from support.disk_faults import DiskFaults
from support.process import wait_until
from support.purging import ask, purge, purge_command, serving, with_disk
from support.vignette import Vignette

URL = "http://test"
CATS = ["/o/cat.jpg", "/i/-/w=150/cat.jpg", "/i/-/w=320/cat.jpg@webp"]
DOGS = [path.replace("cat", "dog") for path in CATS]
LARGE = "/o/large.jpg"
GOING_ON = "going on to overwrite"


@pytest.fixture
def directory(tmp_path):
    folder = tmp_path / "node" / "photos"
    folder.mkdir(parents=True)
    (folder / "cat.jpg").write_bytes(photos.with_position(photos.picture(640, 480)))
    (folder / "dog.jpg").write_bytes(photos.with_position(photos.picture(640, 480, seed=2)))
    (folder / "large.jpg").write_bytes(photos.with_position(photos.picture(3000, 2500, seed=3), quality=98))
    assert (folder / "large.jpg").stat().st_size > 2 << 20
    return tmp_path / "node"


def node_config():
    local = '[origin.local]\ndirectory = "photos"\n'
    routes = [config.route("/i/*", images='"local"'), config.route("/o/*", origin='"local"')]
    return with_disk(config.node(config.UNSIGNED_IMAGES, local, config.site(*routes)), "128MiB")


def pieces(body):
    """Bytes from all over it, none of which another photo has."""
    return [body[at : at + 48] for at in range(len(body) // 3, len(body) - 48, len(body) // 7)]


def on_disk(directory, wanted):
    """How many of the pieces the volume's file holds."""
    with open(directory / "disk" / "volume", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as volume:
        return sum(volume.find(piece) >= 0 for piece in wanted)


def answered(node, path):
    answer = ask(node, path)
    return answer if answer.status == 200 else None


def fetch(node, directory, paths):
    """Their pieces, once all of them are in the file. A busy machine may answer 503 for a picture at first."""
    found = []
    for path in paths:
        found += pieces(wait_until(lambda p=path: answered(node, p), 60, path).body)
    wait_until(lambda: on_disk(directory, found) == len(found), 20, "objects on disk")
    return found


def started(directory, **options):
    node = Vignette(directory, node_config(), **options)
    wait_until(lambda: serving(node), 20, "the disk read")
    return node


def said(node):
    return "\n".join(node.child.lines)


def test_no_byte_of_an_erased_photo_is_left_in_the_volume(directory):
    with started(directory) as node:
        cats, dogs = fetch(node, directory, CATS), fetch(node, directory, DOGS)
        large = fetch(node, directory, [LARGE])
        told = json.loads(purge(node, "--erase", "--json", URL + "/i/-/w=240/cat.jpg"))
        assert told["known_on_disk"] == len(CATS) and told["erased"]["copies"] >= len(CATS), told
        assert on_disk(directory, cats) == 0
        assert on_disk(directory, dogs) == len(dogs) and on_disk(directory, large) == len(large)
        assert "erased: " in purge(node, "--erase", URL + LARGE)
        assert on_disk(directory, large) == 0
        (directory / "photos" / "cat.jpg").unlink()
        assert [ask(node, path).status for path in CATS + DOGS] == [404] * 3 + [200] * 3
    with started(directory) as node:
        (directory / "photos" / "dog.jpg").unlink()
        assert [ask(node, path).status for path in CATS + DOGS] == [404] * 3 + [200] * 3
        purge(node, "--erase", "--origin", "local")
        assert on_disk(directory, cats + dogs + large) == 0
        assert GOING_ON not in said(node)


def test_a_failing_disk_is_told_of_and_erased_after_a_kill(directory, tmp_path):
    faults = DiskFaults(tmp_path / "faults", seed=3)
    node = started(directory, environment=faults.environment)
    try:
        cats, dogs = fetch(node, directory, CATS), fetch(node, directory, DOGS)
        faults.set(read_error=1.0)
        answer = purge(node, "--erase", URL + CATS[0], expect=1)
        assert "some of its bytes may still be on disk" in answer
        assert on_disk(directory, cats) == len(cats) and node.metric("vignette_purge_erasing") == 1
        node.child.kill()
    finally:
        node.child.kill()
    with started(directory) as node:
        wait_until(lambda: on_disk(directory, cats) == 0, 20, "the rest erased")
        assert GOING_ON in said(node)
        wait_until(lambda: node.metric("vignette_purge_erasing") == 0, 20, "the erasing noted")
        assert on_disk(directory, dogs) == len(dogs)
    with started(directory) as node:
        assert GOING_ON not in said(node)


def test_a_kill_as_soon_as_the_order_is_written_down(directory):
    node = started(directory)
    try:
        cats = fetch(node, directory, CATS)
        journal = directory / "disk" / "purges.journal"
        before = journal.stat().st_size
        command = subprocess.Popen(purge_command(node, "--erase", URL + CATS[0]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while journal.stat().st_size == before:
            assert command.poll() is None
        node.child.kill()
        command.wait(20)
    finally:
        node.child.kill()
    with started(directory) as node:
        wait_until(lambda: on_disk(directory, cats) == 0, 20, "the rest erased")
        (directory / "photos" / "cat.jpg").unlink()
        assert [ask(node, path).status for path in CATS] == [404] * 3
