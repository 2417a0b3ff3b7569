"""People like this person: found through bands, ranked by estimated likeness."""

import numpy as np
import pytest

from audiences.lookalike_signatures import Signatures, SignatureScheme, fold_signatures, token_table
from audiences.lookalikes.neighbours import lay_bands, nearest

TABLE = token_table([f"trait {i}" for i in range(400)])


def sign(people: list[list[int]]) -> Signatures:
    starts = np.cumsum([0, *map(len, people)])
    return fold_signatures(TABLE, starts, np.concatenate([*map(np.array, people), []]).astype(int))


def draw(people: int) -> list[list[int]]:
    rng = np.random.default_rng(2)
    kinds = [rng.choice(400, 30, replace=False) for _ in range(10)]
    return [
        sorted({*rng.choice(kinds[i % 10], 20, replace=False), *rng.choice(400, 8)})
        for i in range(people)
    ]


def test_the_nearest_are_the_most_alike() -> None:
    """Of people who share half their traits nearly all are found, and none is ranked wrongly."""
    people = draw(300)
    bands = lay_bands(sign(people))
    values = bands.signatures.values
    for person in (0, 7, 123):
        found = nearest(bands, person, most=29)
        alike = [likeness for _, likeness in found]
        assert alike == sorted(alike, reverse=True)
        assert all((values[who] == values[person]).mean() == each for who, each in found)
        same_kind = [who for who, _ in found if who % 10 == person % 10]
        assert len(same_kind) >= 26
        assert person not in dict(found)


def test_any_common_band_makes_a_candidate() -> None:
    """With one value a band, everybody who shares a value is found: as by comparing all."""
    people = draw(80)
    bands = lay_bands(sign(people), rows=1)
    values = bands.signatures.values
    expected = {i for i in range(1, 80) if (values[i] == values[0]).any()}
    assert {who for who, _ in nearest(bands, 0)} == expected


def test_who_has_no_traits_is_like_nobody() -> None:
    """Two people of whom nothing is known are no neighbours."""
    bands = lay_bands(sign([[], [], [1, 2]]))
    assert nearest(bands, 0) == []
    assert nearest(bands, 2) == []


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_bands_use_all_values(rows: int) -> None:
    """Bands hold everybody once each, whatever their height."""
    scheme = SignatureScheme(num_perm=16)
    signed = Signatures(scheme=scheme, values=np.arange(160, dtype=np.uint32).reshape(10, 16))
    bands = lay_bands(signed, rows=rows)
    assert bands.keys.shape == (16 // rows, 10)
    assert (np.sort(bands.order, axis=1) == np.arange(10)).all()
    assert (np.diff(bands.keys.astype(object), axis=1) >= 0).all()
