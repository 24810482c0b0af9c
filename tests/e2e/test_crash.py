"""The node is killed at random moments, its disk sometimes damaged while it is down: no wrong byte, and what was on
disk is still there. VIGNETTE_CRASH_ROUNDS sets the number of rounds."""

import asyncio
import os
import random
import signal
import time

import pytest

from support import config
from support.client import Broken, Connection, curl
from support.process import wait_until
from support.published import FRESH_SECONDS, Published, PublishingOrigin, body_of
from support.vignette import Vignette

ROUNDS = int(os.environ.get("VIGNETTE_CRASH_ROUNDS", "10"))
CLIENTS = 6
STEADY = 300  # URLs that never change
CHANGING = 60
# What was answered so long before the crash has been written: a second at most in the queue and the open segment.
WRITTEN_AFTER = 2.0


class Driver:
    """Asks the node from many connections and remembers what it may count on."""

    def __init__(self, published, seed):
        self.published = published
        self.random = random.Random(seed)
        self.complaints = []
        self.answers = 0
        self.answered_at = {}  # steady path -> when the node had it at the latest
        self.counts = True  # whether what is answered now can be expected to reach the disk

    async def ask(self, connection, path):
        asked_at = time.monotonic()
        answer = await connection.get(path)
        self.answers += 1
        complaint = self.published.complaint(path, answer, asked_at)
        if complaint:
            self.complaints.append(f"{complaint} ({answer.cache_status})")
        return answer

    def choose(self):
        if self.random.random() < 0.2:
            path = f"/c/{self.random.randrange(CHANGING)}"
            if self.random.random() < 0.3:
                self.published.publish(path)
            return path
        return f"/i/{self.random.randrange(STEADY)}"

    async def client(self, address):
        connection = Connection(*address)
        try:
            while True:
                path = self.choose()
                await self.ask(connection, path)
                if path.startswith("/i/") and self.counts:
                    self.answered_at.setdefault(path, time.monotonic())
        except (Broken, ConnectionError, asyncio.IncompleteReadError):
            pass  # the node was killed
        finally:
            connection.close()

    async def load_until_killed(self, node, seconds):
        clients = [asyncio.create_task(self.client(node.http())) for _ in range(CLIENTS)]
        await asyncio.sleep(seconds)
        os.kill(node.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        await asyncio.gather(*clients)
        return killed_at

    async def ask_for_all(self, node, paths):
        """What the node did not have any more is new to it."""
        connection = Connection(*node.http())
        for path in paths:
            answer = await self.ask(connection, path)
            if "; hit" not in answer.cache_status:
                self.answered_at[path] = time.monotonic()
        connection.close()


def damage(rng, folder):
    """Wrong bytes in the volume where something lies, and a snapshot that is cut, empty or gone."""
    volume = folder / "volume"
    with open(volume, "r+b") as file:
        for _ in range(rng.randrange(1, 40)):
            file.seek(rng.randrange(64 * 1024, 32 * 1024 * 1024))
            file.write(rng.randbytes(rng.randrange(1, 200)))
    snapshot = folder / "index"
    if snapshot.exists() and rng.random() < 0.5:
        data = snapshot.read_bytes()
        snapshot.write_bytes(data[: rng.randrange(len(data) + 1)])


@pytest.fixture
def origin():
    origin = PublishingOrigin(Published())
    yield origin
    origin.stop()


def configuration(origin):
    text = config.node(
        config.app_origin([origin]), config.site(config.route("/*", origin='"app"', cache='"on"')), memory="8MiB"
    )
    return text.replace('memory = "8MiB"', 'memory = "8MiB"\ndisk = [{ path = "disk", size = "256MiB" }]')


def serving(node):
    return node.status()["disks"][0]["state"] == "serving"


def test_no_wrong_byte_and_no_lost_object_after_kill_9(tmp_path, origin):
    rng = random.Random(20)
    driver = Driver(origin.published, rng.random())
    text = configuration(origin)
    directory = tmp_path / "node"
    directory.mkdir()
    killed_at, was_damaged = 0.0, False
    counted, found = 0, 0
    for number in range(ROUNDS + 1):
        node = Vignette(directory, text)
        try:
            wait_until(lambda n=node: serving(n), 20, "the disk read")
            written = [path for path, at in driver.answered_at.items() if at < killed_at - WRITTEN_AFTER]
            before = sum(origin.requests.get(path, 0) for path in written)
            asyncio.run(driver.ask_for_all(node, written))
            missed = sum(origin.requests.get(path, 0) for path in written) - before
            disk = node.status()["disks"][0]
            print(
                f"round {number}: {len(written)} objects were written, {missed} asked for again, "
                f"damaged {was_damaged}, {disk['state']} with {disk['objects']} objects"
            )
            assert driver.complaints == []
            if not was_damaged:
                counted += len(written)
                found += len(written) - missed
                assert missed <= 0.05 * len(written)
            if number == ROUNDS:
                break
            # Five bad checksums take the volume away for half a minute: this round's fills are in memory only.
            driver.counts = serving(node)
            if not driver.counts:
                driver.answered_at.clear()
            seconds = rng.uniform(0.2, 1.0) if number % 3 else WRITTEN_AFTER + rng.uniform(0.5, 1.5)
            killed_at = asyncio.run(driver.load_until_killed(node, seconds))
            node.child.stop(10)
            was_damaged = number % 2 == 1
            if was_damaged:
                damage(rng, directory / "disk")
        finally:
            node.child.kill()
    print(f"{driver.answers} answers, none wrong; {found} of {counted} objects found again")
    assert counted > 100
    assert driver.complaints == []


def test_an_orderly_restart_loses_nothing(tmp_path, origin):
    driver = Driver(origin.published, 1)
    directory = tmp_path / "node"
    directory.mkdir()
    paths = [f"/i/{number}" for number in range(STEADY)]
    with Vignette(directory, configuration(origin)) as node:
        wait_until(lambda: serving(node), 20, "the disk made")
        asyncio.run(driver.ask_for_all(node, [*paths, "/c/0", "/i/head", "/i/range"]))
        disk = node.status()["disks"][0]
        refused = disk["counts"]["queue-old"] + disk["counts"]["queue-full"]
    with Vignette(directory, configuration(origin)) as node:
        wait_until(lambda: serving(node), 20, "the disk read")

        def ask(path, *arguments):
            return curl(node.url(path), "-H", "Host: test", *arguments)

        answer = ask("/i/7")
        assert answer.cache_status.startswith("Vignette; hit; ttl=")
        assert answer.cache_status.endswith("; detail=disk")
        assert ask("/i/7").cache_status.startswith("Vignette; hit; ttl=")
        assert "detail" not in ask("/i/7").cache_status
        answer = ask("/i/head", "--head")
        assert (answer.status, answer.header("content-length")) == (200, str(len(body_of("/i/head", 1))))
        answer = ask("/i/range", "-r", "10-99")
        assert (answer.status, answer.body) == (206, body_of("/i/range", 1)[10:100])
        assert origin.requests["/i/head"] == origin.requests["/i/range"] == 1

        # What the disk has is validated when it is stale, and its new head goes there too.
        time.sleep(FRESH_SECONDS + 1)
        answer = ask("/c/0")
        assert (answer.status, answer.body, origin.not_modified) == (200, body_of("/c/0", 1), 1)
        assert "fwd=stale; fwd-status=304" in answer.cache_status

        asyncio.run(driver.ask_for_all(node, paths))
        disk = node.status()["disks"][0]
        assert node.metric("vignette_disk_hits_total") == disk["counts"]["hit"] >= STEADY - refused
        assert node.metric("vignette_disk_offline") == 0
    assert driver.complaints == []
    asked_again = sum(origin.requests[path] - 1 for path in paths)
    print(f"{asked_again} of {len(paths)} asked for again, {refused} were not taken by the disk")
    assert asked_again <= refused
    assert '"cache_detail":"disk"' in (directory / "access.log").read_text()
