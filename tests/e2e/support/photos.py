"""Photographs for the tests: the real ones of the test data where they are, else pictures made here.

Every photo is also given an EXIF block with a position and a text that must never reach a client in a resize.
"""

import io

from PIL import Image, ImageChops

from . import places

PLANTED = b"PLANTED-OWNER-NAME"
GPS = 0x8825
COPYRIGHT_OWNER = 0x013B  # Artist
REAL = ["photos/zebra.jpg", "photos/iphone_hdr_YES.jpg", "photos/HMD_Nokia_8.3_5G.jpg"]


def picture(width, height, seed=1):
    """Smooth colours with some detail, different for each seed; cheap to make at any size."""
    grey = Image.effect_mandelbrot((512, 512), (-2 + seed / 100, -1.5, 1, 1.5), 60)
    noise = Image.effect_noise((512, 512), 40 + seed % 50)
    bands = [grey, noise, ImageChops.invert(grey)]
    return Image.merge("RGB", bands).resize((width, height), Image.BICUBIC)


def with_position(image, quality=90, **options):
    """JPEG bytes with the planted text and a GPS position in its EXIF."""
    exif = Image.Exif()
    exif[COPYRIGHT_OWNER] = PLANTED.decode()
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 22.0, 12.0), 3: "E", 4: (4.0, 53.0, 42.0)})
    exif[GPS] = exif.get_ifd(GPS)
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality, exif=exif, **options)
    data = out.getvalue()
    assert PLANTED in data
    return data


def write_photos(directory, count=4, size=(4000, 3000)):
    """`count` JPEGs of several megapixels; returns their paths."""
    paths = []
    for number in range(count):
        real = places.data(REAL[number]) if number < len(REAL) else None
        image = Image.open(real) if real else picture(*size, seed=number + 1)
        path = directory / f"photo{number}.jpg"
        path.write_bytes(with_position(image))
        paths.append(path)
    return paths


def opened(body):
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def assert_no_metadata(body):
    assert PLANTED not in body
    exif = opened(body).getexif()
    assert GPS not in exif and COPYRIGHT_OWNER not in exif, dict(exif)
