"""Hostile pictures through the running node: each gets its answer, no worker dies of one, and photos go on."""

import io
import random
import struct
import zlib
from urllib.parse import quote

import pytest
from PIL import Image

from support import config, photos, places
from support.client import Connection, curl, gather

PNG = b"\x89PNG\r\n\x1a\n"
SMALL = photos.picture(320, 240)
FINE, TOO_LARGE, UNSUPPORTED, BROKEN = 200, 413, 415, 422


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height, depth=8, colour=2):
    return PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def png_claiming(width, height):
    return png_header(width, height) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def jpeg_claiming(width, height):
    """A real JPEG whose frame header was given another size."""
    data = bytearray(saved("JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def saved(form, image=SMALL, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def with_text_bomb():
    """A PNG with four compressed texts of 8 MiB each."""
    data = saved("PNG")
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"A" * (8 << 20), 9))
    return data[:33] + bomb * 4 + data[33:]


def made():
    """name: (bytes, the status it deserves)"""
    noise = random.Random(7)
    jpeg, png = saved("JPEG", quality=95), saved("PNG")
    return {
        "empty.jpg": (b"", BROKEN),
        "text.jpg": (b"<html><body>not a picture</body></html>", UNSUPPORTED),
        "random.jpg": (noise.randbytes(10_000), UNSUPPORTED),
        "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', UNSUPPORTED),
        "drawing.jpg": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', UNSUPPORTED),
        "paper.pdf": (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", UNSUPPORTED),
        "script.jpg": (b"%!PS-Adobe-3.0\n(/etc/passwd) (r) file\n", UNSUPPORTED),
        "mvg.jpg": (b"push graphic-context\nimage over 0,0 0,0 'https://127.0.0.1/x'\n", UNSUPPORTED),
        "archive.jpg": (b"PK\x03\x04" + noise.randbytes(500), UNSUPPORTED),
        "film.jpg": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + noise.randbytes(500), UNSUPPORTED),
        "scan.tif": (saved("TIFF"), UNSUPPORTED),
        "icon.ico": (saved("ICO"), UNSUPPORTED),
        "cut.jpg": (jpeg[: len(jpeg) // 2], BROKEN),
        "cut.png": (png[: len(png) // 2], BROKEN),
        "only-magic.jpg": (b"\xff\xd8\xff", BROKEN),
        "only-magic.png": (PNG, BROKEN),
        "huge.jpg": (jpeg_claiming(64_250, 64_250), TOO_LARGE),
        "huge.png": (png_claiming(65_536, 65_536), TOO_LARGE),
        "large.png": (png_claiming(16_384, 16_384), TOO_LARGE),
        "zero.png": (png_claiming(0, 10), BROKEN),
        "text-bomb.png": (with_text_bomb(), FINE),
        "fat-profile.jpg": (saved("JPEG", icc_profile=noise.randbytes(3_000_000)), FINE),
        "bad-exif.jpg": (saved("JPEG", exif=b"Exif\0\0MM\0*" + noise.randbytes(300)), FINE),
        "png-called.jpg": (png, FINE),
    }


# What the files of the test data are, see its EXPECTED.md; a folder's own answer holds for the others in it.
FOLDERS = {"bombs": TOO_LARGE, "broken": BROKEN, "libheif-fuzz": (UNSUPPORTED, BROKEN), "other-formats": UNSUPPORTED,
           "pillow-fuzz": UNSUPPORTED}
EXCEPT = {
    "1024-pages.gif": (FINE, TOO_LARGE),
    "decompression_bomb.gif": (TOO_LARGE, BROKEN),
    "decompression_bomb.ico": UNSUPPORTED,
    "giant.svg": UNSUPPORTED,
    "png_decompression_dos.png": (FINE, BROKEN),
    "image_invalid.jpg": UNSUPPORTED,
    "list.txt": UNSUPPORTED,
    "truncated_app14.jpg": FINE,
    "broken-exif-tag.jpg": FINE,
    "invalid-exif.jpg": FINE,
    "invalid_quantization.jpg": FINE,
    "icc-after-SOF.jpg": FINE,
    "invalid_multiframe.gif": (FINE, BROKEN),
    "looks-like-svg.webp": FINE,
    "bad_palette_index.webp": FINE,
    "avif32.heif": FINE,
    "colors-no-alpha.heic": FINE,
    "colors-with-alpha.heic": FINE,
    "clusterfuzz-testcase-minimized-file-fuzzer-5671864958976000.heic": (FINE, BROKEN),
    "clusterfuzz-testcase-minimized-file-fuzzer-5752063708495872.heic": (FINE, BROKEN),
}


def collected():
    """name: (bytes, allowed statuses) of the test data."""
    root = places.data("hostile")
    if not root:
        return {}
    files = {path: path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file()}
    assert len(files) >= 100
    return {
        str(name): (path.read_bytes(), EXCEPT.get(path.name, FOLDERS[name.parts[0]])) for path, name in files.items()
    }


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "originals"
    path.mkdir()
    return path


def fill(folder, cases):
    for name, (content, _) in cases.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "good.jpg").write_bytes(photos.with_position(photos.picture(1200, 900)))


@pytest.fixture
def node(start_node, folder):
    origin = f'[origin.local]\ndirectory = "{folder}"\n'
    routes = [config.route("/i/*", images='"local"'), config.route("/o/*", origin='"local"')]
    return start_node(config.node(config.UNSIGNED_IMAGES, origin, config.site(*routes)))


def assert_unharmed(node, restarts):
    """No worker crashed and none was made anew: what was refused was refused, not survived."""
    assert node.metric("vignette_image_jobs_total", result="crashed") == 0
    assert node.metric("vignette_image_jobs_total", result="deadline") == 0
    assert node.metric("vignette_imaging_restarts_total") == restarts
    assert node.child.running()


def ask_all(node, cases, operations):
    """Each over one of eight connections that live on, so that an answer that breaks one shows."""

    async def client(names):
        connection = Connection(*node.http())
        answers = []
        for name in names:
            answers.append((name, await connection.get(f"/i/-/{operations}/{quote(name)}")))
            good = await connection.get("/i/-/w=100,f=jpeg/good.jpg")
            assert good.status == 200, (name, good.body)
        connection.close()
        return answers

    names = list(cases)
    return [answer for part in gather(*(client(names[n::8]) for n in range(8)), seconds=90) for answer in part]


@pytest.mark.parametrize("cases", [made, collected], ids=["made", "collected"])
@pytest.mark.parametrize("operations", ["w=100", "w=90,h=40,fit=cover,f=webp", "info"])
def test_every_hostile_picture_gets_its_answer_and_the_next_photo_works(node, folder, cases, operations):
    cases = cases()
    fill(folder, cases)
    restarts = node.metric("vignette_imaging_restarts_total")
    wrong = []
    for name, answer in ask_all(node, cases, operations):
        allowed = cases[name][1]
        # A description reads no pixels: damage behind the header may go unnoticed.
        damaged = allowed == BROKEN or BROKEN in (allowed if isinstance(allowed, tuple) else ())
        accepted = allowed if isinstance(allowed, tuple) else (allowed,)
        if operations == "info" and damaged:
            accepted += (FINE,)
        if answer.status not in accepted:
            wrong.append((name, answer.status, accepted, answer.body[:80]))
        if answer.status == FINE and operations != "info":
            assert photos.opened(answer.body).width <= 100, name
        if answer.status != FINE:
            assert answer.header("content-type").startswith("text/plain"), name
            assert "image/" not in answer.header("content-type")
    assert not wrong, wrong
    assert_unharmed(node, restarts)


def test_a_bomb_is_refused_from_its_header_without_a_worker(node, folder):
    fill(folder, {name: case for name, case in made().items() if case[1] == TOO_LARGE})
    for name in ("huge.jpg", "huge.png", "large.png"):
        assert curl(node.url(f"/i/-/w=100/{name}")).status == TOO_LARGE
    assert node.metric("vignette_image_jobs_total") == 0


def test_what_is_bad_is_remembered_and_named_in_log_and_metric(node, folder, eventually):
    fill(folder, made())
    url = node.url("/i/-/w=100/cut.jpg")
    first, second = curl(url), curl(url)
    assert first.status == second.status == BROKEN
    assert "; hit" in second.cache_status and "detail=image_broken" in second.cache_status
    assert node.metric("vignette_refusals_total", reason="image_broken") == 2
    log = node.directory / "access.log"
    eventually(lambda: log.read_text().count('"reason":"image_broken"') == 2, 5, "the reason in the access log")


def test_a_stored_script_never_reaches_a_browser_as_one(node, folder):
    fill(folder, made())
    for name in ("text.jpg", "drawing.svg", "drawing.jpg", "paper.pdf"):
        answer = curl(node.url(f"/i/-/original/{name}"))
        assert answer.status == 200
        assert answer.header("content-type") == "application/octet-stream", name
        assert answer.header("x-content-type-options") == "nosniff"
        assert "sandbox" in answer.header("content-security-policy")
