"""Every form in which the tests plant a participant's name: written, escaped, encoded, packed."""

import base64
import bz2
import gzip
import html
import io
import json
import lzma
import quopri
import struct
import unicodedata
import zipfile
import zlib
from urllib.parse import quote

import nibabel
import numpy as np


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def nifti(kind, name, where):
    img = kind(np.zeros((3, 4, 5), np.float32), np.eye(4))
    if where == "descrip":
        img.header["descrip"] = name.encode()
    else:
        img.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", name.encode()))
    return gzip.compress(img.to_bytes())


def packed(name, window):
    """Pack as libpng and Acrobat do, with a window of ``2 ** window`` bytes."""
    packer = zlib.compressobj(wbits=window)
    return packer.compress(name.encode()) + packer.flush()


def in_zip(name):
    with zipfile.ZipFile(held := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.txt", f"by {name}")
    return held.getvalue()


def in_array(name):
    np.savez(held := io.BytesIO(), who=np.array([name, "b" * 12]))
    return held.getvalue()


FORMS = {
    "text": lambda name: f"fold\tbest\n1\t{name}\n".encode(),
    "capitals": lambda name: f"<p>{name.upper()}</p>".encode(),
    "decomposed": lambda name: unicodedata.normalize("NFD", name).encode(),
    "full width": lambda name: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name).encode(),
    "soft hyphens": lambda name: "\u00ad".join(name).encode(),
    "Latin-1": lambda name: f"by {name}.".encode("latin-1"),
    "UTF-16": lambda name: f"by {name}.".encode("utf-16"),
    "UTF-16 big endian": lambda name: f"by {name}.".encode("utf-16-be"),
    "decomposed UTF-16": lambda name: unicodedata.normalize("NFD", f"by {name}.").encode("utf-16-le"),
    "percent": lambda name: ("?" + "".join(f"%{byte:02x}" for byte in name.encode())).encode(),
    "percent twice": lambda name: quote(quote("é" + name)).encode(),
    "percent of Latin-1": lambda name: quote(name, encoding="latin-1").encode(),
    "JSON": lambda name: json.dumps({"by": name}).encode(),
    "JSON, all escaped": lambda name: "".join(f"\\u{ord(c):04X}" for c in name).encode(),
    "backslashes": lambda name: "".join(f"\\x{byte:02x}" for byte in name.encode()).encode(),
    "octal": lambda name: "".join(f"\\{byte:03o}" for byte in name.encode()).encode(),
    "HTML": lambda name: html.escape(name).encode("ascii", "xmlcharrefreplace"),
    "HTML, hexadecimal": lambda name: "".join(f"&#x{ord(c):x};" for c in name).encode(),
    "quoted printable": lambda name: quopri.encodestring(name.encode()),
    "base64": lambda name: b'"' + base64.b64encode(f"by {name}".encode()) + b'"',
    "hexadecimal": lambda name: f"by {name}".encode().hex().encode(),
    "gzip": lambda name: gzip.compress(f"by {name}".encode()),
    "gzip in gzip": lambda name: gzip.compress(gzip.compress(f"by {name}".encode())),
    "bzip2": lambda name: bz2.compress(f"by {name}".encode()),
    "xz": lambda name: lzma.compress(f"by {name}".encode()),
    "zip": in_zip,
    "PDF stream": lambda name: b"%PDF-1.4\nstream\n" + zlib.compress(f"by {name}".encode()) + b"\nendstream",
    "PDF stream, small window": lambda name: b"%PDF-1.4\nstream\n" + packed(f"by {name}", 9) + b"\nendstream",
    "PDF stream, ASCII 85": lambda name: (
        b"<</Filter [/ASCII85Decode /FlateDecode]>>\nstream\n"
        + base64.a85encode(zlib.compress(f"by {name}".encode()), wrapcol=76)
        + b"~>endstream"
    ),
    "base64 in lines": lambda name: base64.encodebytes(f"{'x' * 50} by {name}".encode()),
    "partly bold": lambda name: f"<p>by <b>{name[:2]}</b>{name[2:]}</p>".encode(),
    "after a PNG": lambda name: png() + name.encode(),
    "after the voxels": lambda name: gzip.compress(
        nibabel.Nifti1Image(np.zeros((3, 4, 5), np.float32), np.eye(4)).to_bytes() + name.encode()
    ),
    "PNG text": lambda name: png(chunk(b"tEXt", b"Author\0" + name.encode("latin-1"))),
    "PNG packed text": lambda name: png(chunk(b"zTXt", b"Author\0\0" + zlib.compress(name.encode("latin-1")))),
    "PNG international text": lambda name: png(chunk(b"iTXt", b"Author\0\1\0\0\0" + zlib.compress(name.encode()))),
    "array of words": in_array,
    "NIfTI-1": lambda name: nifti(nibabel.Nifti1Image, name, "descrip"),
    "NIfTI-2": lambda name: nifti(nibabel.Nifti2Image, name, "descrip"),
    "NIfTI-1 extension": lambda name: nifti(nibabel.Nifti1Image, name, "extension"),
    "NIfTI-2 extension": lambda name: nifti(nibabel.Nifti2Image, name, "extension"),
}
