"""Decoding and encoding of images: every pixel mode, every kind of damage."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fer_bench.data.images import MAX_PIXELS, ImageError, decode, encode_png

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("array", [GREY, COLOUR, np.full((300, 400, 3), 7, np.uint8)], ids=["grey", "colour", "blocks"])
def test_encode_png_is_read_by_pillow_and_by_us(array):
    encoded = encode_png(array)
    with Image.open(io.BytesIO(encoded)) as image:
        image.verify()
    np.testing.assert_array_equal(decode(encoded).squeeze(), array)


def test_encode_png_gives_the_same_bytes_everywhere():
    # By hand: zlib header, one final stored block of three bytes (filter, 1, 2), Adler-32: a = 1 + 3, b = 1 + 2 + 4.
    stream = bytes.fromhex("7801 01 0300 fcff 000102 00070004")
    encoded = encode_png(np.array([[1, 2]], np.uint8))
    assert struct.pack(">I", len(stream)) + b"IDAT" + stream in encoded


@pytest.mark.parametrize("shape", [(4, 4, 2), (0, 4), (4, 4, 4)])
def test_encode_png_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="expected uint8"):
        encode_png(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_keep_grey_and_colour(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decode(saved(Image.fromarray(COLOUR), kind, **options)), COLOUR)
    if kind != "WEBP":
        np.testing.assert_array_equal(decode(saved(Image.fromarray(GREY), kind)), GREY[..., None])


def test_jpeg_is_close():
    smooth = np.full((16, 16), 100, np.uint8)
    assert decode(saved(Image.fromarray(smooth), "JPEG")).shape == (16, 16, 1)
    assert np.abs(decode(saved(Image.fromarray(smooth), "JPEG")).astype(int) - 100).max() <= 1


def test_bilevel_becomes_black_and_white():
    assert sorted(np.unique(decode(saved(Image.fromarray(GREY).convert("1"))))) == [0, 255]


def test_sixteen_bits_keep_the_upper_eight():
    deep = np.array([[0, 255, 256, 65535]], np.uint16)
    assert decode(saved(Image.fromarray(deep)))[0, :, 0].tolist() == [0, 0, 1, 255]
    assert decode(saved(Image.fromarray(deep), "TIFF"))[0, :, 0].tolist() == [0, 0, 1, 255]


def test_transparent_parts_are_black():
    alpha = np.zeros((6, 8), np.uint8)
    alpha[:, :4] = 255
    colour = decode(saved(Image.fromarray(np.dstack([COLOUR, alpha]))))
    np.testing.assert_array_equal(colour[:, :4], COLOUR[:, :4])
    assert not colour[:, 4:].any()
    grey = decode(saved(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])))
    assert grey.shape == (6, 8, 1)
    assert not grey[:, 4:].any()


def test_palette_becomes_rgb():
    palette = Image.fromarray(COLOUR).quantize(256)
    np.testing.assert_array_equal(decode(saved(palette)), np.asarray(palette.convert("RGB")))


def test_palette_with_a_transparent_colour():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([0, 1])
    assert decode(saved(palette, transparency=1)).tolist() == [[[10, 20, 30], [0, 0, 0]]]


def test_cmyk_becomes_rgb():
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert decode(saved(cmyk, "TIFF"))[0, 0].tolist() == [255, 0, 0]
    assert decode(saved(cmyk, "JPEG")).shape == (8, 8, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    turned = {
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        5: COLOUR.transpose(1, 0, 2),
        6: np.rot90(COLOUR, -1),
        7: COLOUR[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(COLOUR),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode(saved(Image.fromarray(COLOUR), exif=exif)), turned[orientation])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_ignored():
    encoded = saved(Image.fromarray(COLOUR), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode(encoded), COLOUR)


def test_first_frame_of_several():
    frames = [Image.new("L", (4, 4), value) for value in (10, 200)]
    assert decode(saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])).max() == 10


def test_empty_file():
    with pytest.raises(ImageError, match=r"empty \(0 bytes\)"):
        decode(b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"])
def test_truncated_files(kind):
    rng = np.random.default_rng(0)
    encoded = saved(Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)), kind)
    for length in (len(encoded) // 2, len(encoded) - 400):
        with pytest.raises(ImageError):
            decode(encoded[:length])


def test_corrupt_png():
    encoded = bytearray(saved(Image.fromarray(COLOUR)))
    encoded[encoded.index(b"IDAT") + 12] ^= 0xFF
    with pytest.raises(ImageError, match="truncated or corrupt"):
        decode(bytes(encoded))


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"GIF", b"\0" * 100])
def test_other_files(content):
    with pytest.raises(ImageError, match=r"not an image.*PNG"):
        decode(content)


@pytest.mark.parametrize("side", [9000, 20_000, 100_000])
def test_decompression_bombs_are_refused_by_their_header(side):
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert side * side > MAX_PIXELS
    with pytest.raises(ImageError, match="decompression bomb"):
        decode(bomb + encode_png(GREY)[33:])


def test_floating_point_pixels_are_refused():
    with pytest.raises(ImageError, match="32-bit"):
        decode(saved(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF"))


def test_black_in_sixteen_bits_is_black():
    assert not decode(saved(Image.fromarray(np.zeros((4, 5), np.uint16)))).any()


@pytest.mark.parametrize(("largest", "bits"), [(4095, "12 bits"), (1000, "10 bits"), (255, "8 bits")])
def test_fewer_bits_in_sixteen_are_refused_before_they_turn_black(largest, bits):
    values = np.linspace(0, largest, 20).astype(np.uint16).reshape(4, 5)
    with pytest.raises(ImageError, match=f"largest value is {largest}.* {bits} .*65535"):
        decode(saved(Image.fromarray(values)))
