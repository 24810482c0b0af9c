"""The node is killed at random moments under reads and purges, in every other round with a disk that fails, tears,
forgets and garbles: no wrong byte, nothing purged comes back, and what was on a sound disk is still there.

VIGNETTE_CRASH_ROUNDS sets the number of rounds, VIGNETTE_CRASH_DISK the size of the volume: on a small one segments are
reclaimed, and what is found again is not counted any more."""

import asyncio
import json
import os
import random
import signal
import time

import pytest

from support import config
from support.client import Broken, Connection, curl
from support.disk_faults import DiskFaults
from support.process import wait_until
from support.published import FRESH_SECONDS, Published, PublishingOrigin, body_of
from support.vignette import Vignette, split_address

ROUNDS = int(os.environ.get("VIGNETTE_CRASH_ROUNDS", "10"))
DISK = os.environ.get("VIGNETTE_CRASH_DISK", f"{max(1, ROUNDS // 20)}GiB")
CLIENTS = 6
STEADY = 300  # URLs that never change
CHANGING = 60
PURGED = 40
# What was answered so long before the crash has been written: a second at most in the queue and the open segment.
WRITTEN_AFTER = 2.0
# Of one operation. A disk with more than five errors a minute is left out, and nothing more can be learned from it.
TROUBLES = [
    {"write_torn": 0.5},
    {"read_error": 0.001, "write_error": 0.1, "sync_error": 0.1},
    {"write_lost": 0.5},
    {"read_garbled": 0.02},
    {"read_error": 0.0005, "read_garbled": 0.01, "write_error": 0.05, "write_torn": 0.2, "write_lost": 0.2},
]
REFUSALS = ["queue-old", "queue-full", "offline"]
GONE = (Broken, ConnectionError, asyncio.IncompleteReadError)  # the node was killed


async def order_purge(address, url):
    """Whether the node says that it is done."""
    body = json.dumps({"url": url})
    reader, writer = await asyncio.open_connection(*split_address(address))
    try:
        writer.write(f"POST /v1/purge HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        status = (await reader.readuntil(b"\r\n")).split(b" ")[1]
    finally:
        writer.close()
    return status == b"200"


class Driver:
    """Asks the node from many connections, purges, and remembers what it may count on."""

    def __init__(self, published, seed):
        self.published = published
        self.random = random.Random(seed)
        self.complaints = []
        self.answers = 0
        self.purges = 0
        self.answered_at = {}  # steady path -> when the node had it at the latest

    async def ask(self, connection, path):
        asked_at = time.monotonic()
        answer = await connection.get(path)
        self.answers += 1
        complaint = self.published.complaint(path, answer, asked_at)
        if complaint:
            self.complaints.append(f"{complaint} ({answer.cache_status})")
        return answer

    def choose(self):
        dice = self.random.random()
        if dice < 0.2:
            path = f"/c/{self.random.randrange(CHANGING)}"
            if self.random.random() < 0.3:
                self.published.publish(path)
            return path
        return f"/p/{self.random.randrange(PURGED)}" if dice < 0.4 else f"/i/{self.random.randrange(STEADY)}"

    async def client(self, address):
        connection = Connection(*address)
        try:
            while True:
                path = self.choose()
                await self.ask(connection, path)
                if path.startswith("/i/"):
                    self.answered_at.setdefault(path, time.monotonic())
        except GONE:
            pass
        finally:
            connection.close()

    async def purger(self, address):
        """The new version is there before the old one is purged, and fills of both are under way."""
        try:
            while True:
                path = f"/p/{self.random.randrange(PURGED)}"
                self.published.publish(path)
                version = self.published.version(path)
                if await order_purge(address, f"http://test{path}"):
                    self.published.purged(path, version)
                    self.purges += 1
                await asyncio.sleep(0.01)
        except GONE:
            pass

    async def load_until_killed(self, node, seconds):
        """When it was killed, and what was to be told of its disk just before."""
        load = [asyncio.create_task(self.client(node.http())) for _ in range(CLIENTS)]
        load.append(asyncio.create_task(self.purger(node.addresses["admin"][0])))
        await asyncio.sleep(seconds)
        disk = await asyncio.to_thread(disk_of, node)
        os.kill(node.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        await asyncio.gather(*load)
        return killed_at, disk

    async def ask_for_all(self, node, paths):
        """How many of the steady ones the node did not have any more; they are new to it."""
        missed = 0
        connection = Connection(*node.http())
        for path in paths:
            answer = await self.ask(connection, path)
            if path.startswith("/i/") and "; hit" not in answer.cache_status:
                self.answered_at[path] = time.monotonic()
                missed += 1
        connection.close()
        return missed


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


def configuration(origin, size="256MiB"):
    text = config.node(
        config.app_origin([origin]), config.site(config.route("/*", origin='"app"', cache='"on"')), memory="8MiB"
    )
    # Nothing is read before it is asked for, so that answers tell where they come from.
    disk = f'disk = [{{ path = "disk", size = "{size}" }}]\nwarm_per_second = "0B"'
    return text.replace('memory = "8MiB"', f'memory = "8MiB"\n{disk}')


def disk_of(node):
    return node.status()["disks"][0]


def serving(node):
    return disk_of(node)["state"] == "serving"


class Crashes:
    """Rounds of: start, look whether all is there, load, kill -9."""

    def __init__(self, directory, origin):
        self.rng = random.Random(20)
        self.directory = directory
        self.driver = Driver(origin.published, self.rng.random())
        self.faults = DiskFaults(directory / "disk-faults", self.rng.getrandbits(64))
        self.text = configuration(origin, DISK)
        self.killed_at = 0.0
        self.trouble = None  # what the disk suffered from when the node was killed
        self.kept_in_memory = 0  # objects that the disk did not take in the life before
        self.has_wrapped = False  # segments were reclaimed
        self.counted = self.found = 0
        self.slowest = 0.0  # seconds from ready to all of it served

    def round(self, number, is_last):
        node = Vignette(self.directory, self.text, self.faults.environment)
        try:
            self.look(number, node)
            if not is_last:
                self.load(number, node)
        finally:
            self.faults.set()
            node.child.kill()

    def look(self, number, node):
        begun = time.monotonic()
        wait_until(lambda: serving(node), 20, "the disk read")
        written = [path for path, at in self.driver.answered_at.items() if at < self.killed_at - WRITTEN_AFTER]
        missed = asyncio.run(self.driver.ask_for_all(node, written))
        seconds = time.monotonic() - begun
        disk = disk_of(node)
        print(
            f"round {number}: {len(written)} objects were written, {missed} asked for again, {self.kept_in_memory} not "
            f"taken, after {self.trouble or 'no trouble'}; {disk['objects']} on disk, {seconds:.2f} s"
        )
        others = [f"/p/{n}" for n in range(PURGED)] + [f"/c/{n}" for n in range(CHANGING)]
        asyncio.run(self.driver.ask_for_all(node, others))
        assert self.driver.complaints == []
        if self.trouble or self.has_wrapped:
            return
        self.counted += len(written)
        self.found += len(written) - missed
        self.slowest = max(self.slowest, seconds)
        assert missed <= self.kept_in_memory
        assert missed <= 0.05 * len(written)

    def load(self, number, node):
        self.trouble = TROUBLES[number // 2 % len(TROUBLES)] if number % 2 else None
        self.faults.set(**(self.trouble or {}))
        seconds = self.rng.uniform(0.2, 1.0) if number % 3 else WRITTEN_AFTER + self.rng.uniform(0.5, 1.5)
        self.killed_at, disk = asyncio.run(self.driver.load_until_killed(node, seconds))
        self.kept_in_memory = sum(disk["counts"][reason] for reason in REFUSALS)
        self.has_wrapped = disk["used_bytes"] == disk["bytes"]
        node.child.stop(10)
        if self.trouble and self.rng.random() < 0.5:
            damage(self.rng, self.directory / "disk")



def test_no_wrong_byte_nothing_purged_and_no_lost_object_after_kill_9(tmp_path, origin):
    directory = tmp_path / "node"
    directory.mkdir()
    crashes = Crashes(directory, origin)
    for number in range(ROUNDS + 1):
        crashes.round(number, is_last=number == ROUNDS)
    driver, faults = crashes.driver, crashes.faults.counts()
    print(
        f"{driver.answers} answers and {driver.purges} purges, none wrong; {crashes.found} of {crashes.counted} objects "
        f"found again, all of a start within {crashes.slowest:.2f} s; faults: {faults}"
    )
    assert crashes.counted > 100 or crashes.has_wrapped
    assert driver.purges > ROUNDS
    assert sum(faults.values()) > ROUNDS // 2


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
