"""Encoded images to ``uint8`` arrays and back, the same on every machine.

How each kind of file is decoded: a GIF, TIFF or MPO with several frames gives its first; 16-bit grey keeps its upper
eight bits, and is refused where all values lie in its lower twelve, since it would turn black; palettes become RGB;
transparent parts lie on black; CMYK, YCbCr and LAB become RGB by Pillow's formulas, without colour profiles; the EXIF
orientation is applied. 32-bit integer and floating-point pixels have no agreed range and are refused.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from typing import cast

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer_bench.arrays import Array

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""Raster formats that are read; EPS and its like, which start other programs, are not among them."""

SUFFIXES = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Of the names of files in these formats."""

MAX_PIXELS = 1 << 26
"""Largest image, 67 million pixels: above any camera's picture of a face, below what a decompression bomb asks for."""

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """Bytes that do not decode to an image; the message completes the sentence "this file …"."""


def is_picture(name: str) -> bool:
    """Return whether the name of a file ends as those of pictures do, in upper or lower case."""
    return name.lower().endswith(SUFFIXES)


def decode(encoded: bytes) -> Array:
    """Decode an image.

    Args:
        encoded: a PNG, JPEG, BMP, GIF, PPM, TIFF or WebP file.

    Returns:
        (h, w, 1) for grey files and (h, w, 3) RGB for all others, uint8.

    Raises:
        ImageError: it is no image, truncated, corrupt, too large, or has pixels without an agreed range.
    """
    if not encoded:
        raise ImageError("is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(_too_large(f"{image.width} x {image.height} pixels"))
            image.load()
            array = np.asarray(_upright(image, _plain(image)))
    except ImageError:
        raise
    except UnidentifiedImageError:
        formats = ", ".join(FORMATS)
        raise ImageError(
            f"is not an image of a known format ({formats}), or its beginning is damaged; "
            f"it starts with {encoded[:8]!r}"
        ) from None
    except Image.DecompressionBombError as error:
        raise ImageError(_too_large(str(error))) from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders let almost any exception out when the bytes are damaged.
        raise ImageError(f"is truncated or corrupt: {error}") from None
    return array[:, :, np.newaxis] if array.ndim == 2 else array


def digest_content(encoded: bytes, pixels: Array) -> str:
    """Return the sha256 of what an image shows, the same for every file that holds it.

    That is shape and pixels; of a JPEG or WebP the file itself, since its pixels differ by the decoder's version.

    Args:
        encoded: the file.
        pixels: what `decode` makes of it.
    """
    if encoded.startswith((b"\xff\xd8", b"RIFF")):
        return hashlib.sha256(encoded).hexdigest()
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def encode_png(array: Array) -> bytes:
    """Encode an image as a PNG without compression.

    The bytes are the same with every version of zlib, and writing and reading cost almost nothing; the files are as
    large as the pixels.

    Args:
        array: (h, w), (h, w, 1) or (h, w, 3), uint8.
    """
    pixels = array[:, :, np.newaxis] if array.ndim == 2 else array
    height, width, channels = pixels.shape
    if pixels.dtype != np.uint8 or channels not in (1, 3) or not (height and width):
        raise ValueError(f"expected uint8 pixels of shape (h, w, 1 or 3), got {array.dtype} {array.shape}")
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # The first byte of a line names its filter: 0, none.
    lines[:, 1:] = pixels.reshape(height, -1)
    colour_type = 0 if channels == 1 else 2
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)),
            _chunk(b"IDAT", _stored(lines.tobytes())),
            _chunk(b"IEND", b""),
        ]
    )


def _plain(image: Image.Image) -> Image.Image:
    """Return ``image`` in mode L or RGB."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        if 0 < (largest := int(values.max())) < 1 << 12:
            raise ImageError(
                f"has 16-bit pixels whose largest value is {largest}: they use {largest.bit_length()} bits and would "
                "turn almost black. Scale them to 0 to 65535, or save them with 8 bits"
            )
        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ImageError(f"has 32-bit pixels (mode {image.mode!r}) of unknown range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        grey = image.mode in ("1", "L", "LA", "La")
        layer = image.convert("LA" if grey else "RGBA")
        black = Image.new(layer.mode, layer.size, (0, 255) if grey else (0, 0, 0, 255))
        black.paste(layer, mask=layer.getchannel("A"))
        return black.convert("L" if grey else "RGB")
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image.convert("RGB")


def _upright(source: Image.Image, plain: Image.Image) -> Image.Image:
    """Return ``plain`` turned as the EXIF data of ``source`` say; unreadable EXIF data say nothing."""
    try:
        orientation = source.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # A damaged EXIF block does not make the picture unreadable.
        return plain
    return plain.transpose(_UPRIGHT[cast("int", orientation)]) if orientation in _UPRIGHT else plain


def _too_large(size: str) -> str:
    return f"is larger than {MAX_PIXELS:,} pixels ({size}): a decompression bomb? Shrink it if it is a real picture"


def _chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk: length, kind, body, checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _stored(data: bytes) -> bytes:
    """Return ``data`` as a zlib stream of stored blocks (RFC 1950, RFC 1951 section 3.2.4)."""
    blocks = [data[start : start + 0xFFFF] for start in range(0, len(data), 0xFFFF)]
    parts = [b"\x78\x01"]
    for number, block in enumerate(blocks, start=1):
        parts.append(struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF) + block)
    return b"".join([*parts, struct.pack(">I", zlib.adler32(data))])
