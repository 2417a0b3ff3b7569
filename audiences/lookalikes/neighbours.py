"""People like this person: the nearest by signature, found through bands of equal values.

In come signatures and a person, out go candidates ranked by estimated likeness. At the likeness of
ordinary people bands find some neighbours, never all: whole seeds are ranked without them.
"""

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiences.lookalike_signatures import Signatures, check_scheme

ROWS_PER_BAND: Final = 2
MIX: Final = np.uint64(0x9E3779B97F4A7C15)


class Bands(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """For each band the people in order of their key, and the keys in that order."""

    signatures: Signatures
    order: NDArray[np.uint32]
    keys: NDArray[np.uint64]


def lay_bands(signatures: Signatures, *, rows: int = ROWS_PER_BAND) -> Bands:
    """Sort everybody once per band; a band is `rows` values of the signature."""
    bands = signatures.scheme.num_perm // rows
    people = len(signatures.values)
    order = np.empty((bands, people), dtype=np.uint32)
    keys = np.empty((bands, people), dtype=np.uint64)
    for band in range(bands):
        key = _keys(signatures.values[:, band * rows : (band + 1) * rows])
        order[band] = np.argsort(key, kind="stable")
        keys[band] = key[order[band]]
    return Bands(signatures=signatures, order=order, keys=keys)


def nearest(bands: Bands, person: int, *, most: int = 100) -> list[tuple[int, float]]:
    """Give the places of the people most like the one at this place, with their likeness."""
    own = Signatures(
        scheme=bands.signatures.scheme, values=bands.signatures.values[person : person + 1]
    )
    found = nearest_to(bands, own, most=most + 1)
    return [each for each in found if each[0] != person][:most]


def nearest_to(bands: Bands, own: Signatures, *, most: int = 100) -> list[tuple[int, float]]:
    """Give the places of the people most like one whose signature is given."""
    check_scheme(own.scheme, bands.signatures.scheme)
    if not own.has_tokens()[0]:
        return []
    rows = bands.signatures.scheme.num_perm // len(bands.keys)
    found = []
    for band, keys in enumerate(bands.keys):
        key = _keys(own.values[:, band * rows : (band + 1) * rows])[0]
        first, last = np.searchsorted(keys, [key, key + np.uint64(1)])
        found.append(bands.order[band, first:last])
    candidates = np.unique(np.concatenate(found))
    alike = (bands.signatures.values[candidates] == own.values).mean(axis=1)
    best = np.argsort(-alike, kind="stable")[:most]
    return [(int(candidates[i]), float(alike[i])) for i in best]


def _keys(values: NDArray[Any]) -> NDArray[np.uint64]:
    key = np.zeros(len(values), dtype=np.uint64)
    for column in values.T:
        key = (key ^ column.astype(np.uint64)) * MIX
        key ^= key >> np.uint64(32)
    # Why the shift: a key and its successor must both be numbers of 64 bits.
    return np.asarray(key >> np.uint64(1))
