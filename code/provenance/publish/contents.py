"""Read the texts in the content of a file, however they are packed, encoded or escaped."""

import base64
import binascii
import bz2
import html
import io
import lzma
import math
import quopri
import re
import struct
import sys
import unicodedata
import zipfile
import zlib
from contextlib import suppress

from nibabel import Nifti1Header, Nifti2Header

# The first two bytes of zlib name the size of its window, a power of two from 256; together they are divisible by 31.
ZLIB = [bytes((size, flags)) for size in range(0x08, 0x79, 0x10) for flags in range(256)]
ZLIB = [start for start in ZLIB if int.from_bytes(start) % 31 == 0 and not start[1] & 0x20]
PACKED = re.compile(b"|".join(map(re.escape, ZLIB)) + rb"|\x1f\x8b\x08|BZh[1-9]1AY|\xfd7zXZ\0|PK\x03\x04")
UNPACKERS = {
    b"\x1f": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    b"B": bz2.BZ2Decompressor,
    b"\xfd": lzma.LZMADecompressor,
}
DAMAGED = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
DEEPEST = 5  # packed in packed
PROBE = 2**14  # bytes by which nearly all that only looks packed is told apart; more takes longer
PICTURE = 500  # bytes, or more
BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{60,76}\r?\n)+[A-Za-z0-9+/]*={0,2}|[A-Za-z0-9+/_-]{12,}={0,2}")
ASCII85 = re.compile(rb"stream\s+[!-uz\s]+~>")  # as PDF has it
HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}){6,}")
# Letters of alphabets in UTF-16 have one of these bytes first; several stand in a row.
OF_ALPHABETS = bytes(byte <= 6 or byte in (0x1E, 0x20) for byte in range(256))
SEVERAL = re.compile(rb"\x01{3,}")
BACKSLASH = re.compile(r"\\(?:u\{([0-9a-fA-F]+)\}|[uU]([0-9a-fA-F]{8}|[0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-7]{3}))")
# Accents that stand apart, and characters that are not seen, such as soft hyphens.
UNSEEN = re.compile(
    "[\ufeff" + "".join(c for c in map(chr, range(0x3000)) if unicodedata.category(c) in ("Mn", "Cf")) + "]"
)
TAG = re.compile(r"<[^<>]*>")
PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")


def read_texts(content):
    """Yield the texts that a content may hold, as `normalise` writes them, each with whether the content is binary.

    In binary content short words are there by chance.
    """
    for part in unpack(content):
        is_binary = b"\0" in part
        for text in _decode(part):
            for plain in [text] if is_binary else _unescape(text):
                yield normalise(plain), is_binary
        for found, decode in ((BASE64, _from_base64), (HEX, binascii.unhexlify), (ASCII85, _from_ascii85)):
            inner = [decode(match.group()) for match in found.finditer(part)]
            # Words are many and short; a picture is seen as one by itself.
            words = b"\n".join(each for each in inner if len(each) < PICTURE)
            for packed in (words, *(each for each in inner if len(each) >= PICTURE)):
                for inmost in unpack(packed):
                    for text in _decode(inmost):
                        yield normalise(text), True


def normalise(text):
    """Write a text without the differences that are none: capitals, accents, widths, unseen characters."""
    if text.isascii():
        return text.lower()
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return _fold(text)
    return text.translate(FOLDED)  # the same, three times as fast: binary content has millions of such letters


def _fold(text):
    return UNSEEN.sub("", unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()))


FOLDED = {code: _fold(chr(code)) for code in range(256)}  # letters of Latin-1


def unpack(content, depth=0):
    """Yield a content, as far as it may hold text, and what is packed anywhere in it."""
    content = _without_pixels(content)
    yield content
    if depth == DEEPEST:
        return
    position = 0
    while found := PACKED.search(content, position):
        position = found.end()
        if found.group().startswith(b"PK"):
            with suppress(*DAMAGED), zipfile.ZipFile(io.BytesIO(content[found.start() :])) as archive:
                for name in archive.namelist():
                    yield name.encode()
                    yield from unpack(archive.read(name), depth + 1)
            return
        start, new_unpacker = found.start(), UNPACKERS.get(found.group()[:1], zlib.decompressobj)
        unpacker, inner = new_unpacker(), b""
        with suppress(*DAMAGED):
            new_unpacker().decompress(content[start : start + PROBE])
            inner = unpacker.decompress(memoryview(content)[start:])
        if inner:
            yield from unpack(inner, depth + 1)
        if unpacker.eof:
            position = max(position, len(content) - len(unpacker.unused_data))


def _without_pixels(content):
    """Leave out what is no text: the voxels of a NIfTI image, the pixels of a PNG."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        kept, position = [], 8
        while position + 8 <= len(content):
            size, kind = struct.unpack_from(">I4s", content, position)
            kept.append(content[position + 8 : position + 8 + size] if kind != b"IDAT" else b"")
            position += 12 + size
            if kind == b"IEND":
                break
        return b"\n".join([*kept, content[position:]])
    for new_header, place, magic in ((Nifti1Header, 344, b"n+1\0"), (Nifti2Header, 4, b"n+2\0")):
        if content[place : place + 4] == magic and new_header.may_contain_header(content):
            header = new_header(content[: new_header.sizeof_hdr], check=False)
            first = max(new_header.sizeof_hdr, header.get_data_offset())
            return content[:first] + content[first + math.prod(header.get_data_shape()) * int(header["bitpix"]) // 8 :]
    return content


def _decode(part):
    try:
        yield part.decode()
    except UnicodeDecodeError:
        yield part.decode("utf-8", "ignore")
        yield part.decode("latin-1")
    if b"\0" in part:
        # Arrays of words hold each letter in four bytes, most of them zero.
        narrow = part.replace(b"\0\0\0", b"").replace(b"\0", b" ")
        yield narrow.decode("utf-8", "ignore")
        yield narrow.decode("latin-1")
        for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            runs = [*_wide(part, first), *_wide(part[1:], first)]
            yield "\n".encode(encoding).join(runs).decode(encoding, "ignore")


def _wide(content, first):
    """Yield runs of pairs of bytes in which the byte at a place, 0 or 1, is one that letters of alphabets have."""
    for run in SEVERAL.finditer(content[first::2].translate(OF_ALPHABETS)):
        yield content[2 * run.start() : 2 * run.end()]


def _unescape(text):
    """Yield a text as it stands and without its escapes, which may be escaped again."""
    yield text
    plain = text
    for _ in range(3):
        before, plain = plain, html.unescape(_unquote(BACKSLASH.sub(_character, plain) if "\\" in plain else plain))
        if plain == before:
            break
        yield plain
    with suppress(UnicodeError):  # UTF-8 taken for Latin-1, as escapes of single bytes are
        if not plain.isascii():
            yield plain.encode("latin-1").decode()
    if "%" in text:
        yield _unquote(text, "latin-1")
    if "<" in text:  # a word may be partly bold
        yield TAG.sub("", plain)
    if "=" in text:
        yield quopri.decodestring(text.encode()).decode("utf-8", "ignore")


def _unquote(text, encoding="utf-8"):
    if "%" not in text:
        return text
    return PERCENT.sub(
        lambda match: binascii.unhexlify(match.group().replace("%", "")).decode(encoding, "replace"), text
    )


def _character(match):
    digits = next(filter(None, match.groups()))
    code = int(digits, 8 if match.group(4) else 16)
    return chr(code) if code <= sys.maxunicode else match.group()


def _from_ascii85(text):
    try:
        return base64.a85decode(text.removeprefix(b"stream").removesuffix(b"~>"))
    except ValueError:
        return b""


def _from_base64(text):
    text = b"".join(text.rstrip(b"=").split()).replace(b"-", b"+").replace(b"_", b"/")
    return base64.b64decode(text[: len(text) - (len(text) % 4 == 1)] + b"=" * (-len(text) % 4))
