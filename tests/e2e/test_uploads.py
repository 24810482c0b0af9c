"""Uploads wait on the node, not on app servers, and leave nothing behind."""

import asyncio
import hashlib
import json
import os

import pytest

from support import config
from support.client import curl

BODY = bytes(range(256)) * 4000  # 1 MB: goes to disk
HALF = len(BODY) // 2
HEAD = f"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {len(BODY)}\r\nConnection: close\r\n\r\n".encode()
CLIENTS = 40  # more than the app server has workers


@pytest.fixture
def node(start_node, apps, tmp_path):
    spool = f'[spool]\npath = "{tmp_path}"\n'
    routes = [config.route("/*", origin='"app"')]
    return start_node(config.node(spool, config.app_origin(apps[:1]), config.site(*routes)))


def waiting_files(node, folder):
    """Files without a name that the node has open in the folder."""
    links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{node.pid}/fd") if os.path.islink(entry.path)]
    return sum(link.startswith(f"{folder}/") and link.endswith(" (deleted)") for link in links)


async def begin(node, count):
    connections = [await asyncio.open_connection(*node.http()) for _ in range(count)]
    for _, writer in connections:
        writer.write(HEAD + BODY[:HALF])
        await writer.drain()
    return connections


def test_slow_uploads_keep_no_app_server_busy_and_arrive_whole(node, tmp_path, eventually):
    async def scene():
        connections = await begin(node, CLIENTS)
        await asyncio.to_thread(
            eventually, lambda: waiting_files(node, tmp_path) == CLIENTS, 20, "every upload to be on disk"
        )
        assert (await asyncio.to_thread(curl, node.url("/hello"), seconds=5)).status == 200
        for _, writer in connections:
            writer.write(BODY[HALF:])
        answers = [await asyncio.wait_for(reader.read(), 30) for reader, _ in connections]
        for _, writer in connections:
            writer.close()
        return answers

    for answer in asyncio.run(scene()):
        seen = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
        assert (seen["bytes"], seen["sha256"]) == (len(BODY), hashlib.sha256(BODY).hexdigest())
    eventually(lambda: waiting_files(node, tmp_path) == 0, 10, "no file to be left")


def test_clients_that_vanish_in_an_upload_leave_no_file_behind(node, tmp_path, eventually):
    async def scene():
        connections = await begin(node, CLIENTS)
        await asyncio.to_thread(
            eventually, lambda: waiting_files(node, tmp_path) == CLIENTS, 20, "every upload to be on disk"
        )
        for _, writer in connections:
            writer.transport.abort()

    asyncio.run(scene())
    eventually(lambda: waiting_files(node, tmp_path) == 0, 10, "no file to be left")
    assert list(tmp_path.glob("vignette-body-*")) == []
    assert curl(node.url("/hello")).status == 200
