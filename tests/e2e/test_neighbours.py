"""The neighbours themselves: what later scenes rely on is proven here, without the node."""

import json
import subprocess
import time

from support import mmdb, photos
from support.client import Connection, curl, gather


def test_the_s3_server_refuses_a_wrong_secret(s3, photo_files):
    s3.put("a.jpg", photo_files[0])
    s3.reset_counts()
    status, body = s3.curl("a.jpg", secret="WRONG")
    assert status == 403
    assert b"SignatureDoesNotMatch" in body
    status, body = s3.curl("a.jpg")
    assert status == 200
    assert body == photo_files[0].read_bytes()
    assert s3.refused() == 1


def test_the_s3_server_refuses_unsigned_requests_and_unknown_keys(s3):
    assert curl(f"{s3.endpoint}/photos/a.jpg").status == 403
    status, body = s3.curl("missing.jpg")
    assert status == 404
    assert b"NoSuchKey" in body


def test_the_s3_server_counts_reads_per_key(s3, photo_files):
    s3.put("folder/b c.jpg".replace(" ", "%20"), photo_files[1])
    s3.reset_counts()
    for _ in range(3):
        assert s3.curl("folder/b%20c.jpg")[0] == 200
    assert s3.gets("folder/b c.jpg") == 3
    assert s3.all_gets() == 3


def test_the_s3_server_can_be_slow_and_broken(s3, photo_files):
    s3.put("slow.jpg", photo_files[0])
    s3.set(delay_ms=300)
    started = time.monotonic()
    assert s3.curl("slow.jpg")[0] == 200
    assert time.monotonic() - started >= 0.3
    s3.set(mode="slowdown")
    status, body = s3.curl("slow.jpg")
    assert status == 503 and b"SlowDown" in body


def test_stored_objects_keep_their_cache_control(s3, photo_files):
    s3.put("fresh.jpg", photo_files[0], cache_control="max-age=1")
    status, body = s3.curl("fresh.jpg", "-i")
    assert status == 200
    assert b"\r\ncache-control: max-age=1\r\n" in body.lower()


def test_three_app_servers_answer_and_name_themselves(apps):
    names = set()
    for server in apps:
        where = ["--unix-socket", server.bind.removeprefix("unix:")] if server.bind.startswith("unix:") else []
        host = "app" if where else server.bind
        answer = curl(f"http://{host}/hello", *where)
        assert answer.status == 200
        assert answer.body.decode() == f"hello from {server.name}\n"
        names.add(answer.header("x-server"))
    assert names == {"app1", "app2", "app3"}


def test_an_app_server_counts_an_upload(apps, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(range(256)) * 4096)
    answer = curl(f"http://{apps[0].bind}/echo", "-T", upload)
    assert json.loads(answer.body)["bytes"] == 1 << 20
    assert apps[0].counts()["PUT /echo"] == 1


def test_an_app_server_comes_back_on_its_port(apps):
    pid = curl(f"http://{apps[1].bind}/hello").header("x-pid")
    apps[1].kill()
    apps[1].start()
    assert curl(f"http://{apps[1].bind}/hello").header("x-pid") != pid


def test_the_clients_of_the_tests_read_lengths_and_chunks(apps):
    host, port = apps[0].bind.split(":")

    async def two():
        connection = Connection(host, int(port))
        first = await connection.get("/size/100000")
        second = await connection.get("/size/100000?chunked=1")
        connection.close()
        return first, second

    first, second = gather(two())[0]
    assert first.body == second.body and len(first.body) == 100000
    assert second.header("transfer-encoding") == "chunked"


def test_photos_carry_a_position_that_must_not_leak(photo_files):
    for path in photo_files:
        data = path.read_bytes()
        image = photos.opened(data)
        assert photos.GPS in image.getexif()
        assert image.width * image.height > 2_000_000


def test_the_country_database_of_the_tests_is_one(tmp_path):
    path = tmp_path / "country.mmdb"
    mmdb.write_country_database(path, {"2.125.160.216/29": "GB", "89.160.20.112/28": "SE"})
    for address, code in [("2.125.160.217", "GB"), ("89.160.20.127", "SE"), ("8.8.8.8", None)]:
        command = ["mmdblookup", "--file", path, "--ip", address, "country", "iso_code"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (f'"{code}"' in done.stdout) if code else (done.returncode != 0), done
