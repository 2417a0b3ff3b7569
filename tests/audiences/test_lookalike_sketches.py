"""Sketches of audiences: overlap without ids, with its error, and only of many people."""

import msgspec
import pytest

from audiences.lookalike_signatures import SchemeMismatch
from audiences.lookalikes.sketches import (
    PEOPLE_LEAST,
    SCHEME,
    Sketch,
    SketchRefused,
    compare_sketches,
    make_sketch,
)

SALT = "a salt that both agreed upon"


def ids(first: int, last: int) -> list[str]:
    return [f"id {i}" for i in range(first, last)]


def sketch(first: int, last: int, *, salt: str = SALT, id_space: str = "email_sha256") -> Sketch:
    return make_sketch(ids(first, last), id_space=id_space, salt=salt)


OVERLAPS = [
    pytest.param(0, 4_000, 0, 4_000, 4_000, id="the same"),
    pytest.param(0, 4_000, 2_000, 6_000, 2_000, id="half"),
    pytest.param(0, 6_000, 5_400, 11_400, 600, id="a tenth"),
    pytest.param(0, 3_000, 3_000, 6_000, 0, id="nobody"),
    pytest.param(0, 3_000, 0, 12_000, 3_000, id="one inside the other"),
]


@pytest.mark.parametrize(("a", "b", "c", "d", "shared"), OVERLAPS)
def test_the_truth_lies_between_the_bounds(a: int, b: int, c: int, d: int, shared: int) -> None:
    """The overlap is estimated within its stated error."""
    found = compare_sketches(sketch(a, b), sketch(c, d))
    assert found.shared_least <= shared <= found.shared_most
    assert found.jaccard_least <= found.jaccard <= found.jaccard_most
    assert found.shared_most - found.shared_least < 0.13 * (b - a + d - c)


def test_a_sketch_crosses_as_json() -> None:
    """What is sent is small, tells no id, and compares as before when read back."""
    ours = sketch(0, 3_003)
    sent = msgspec.json.encode(ours)
    assert len(sent) < 4_000
    assert b"id 1" not in sent
    assert SALT.encode() not in sent
    read = msgspec.json.decode(sent, type=Sketch)
    assert read == ours
    assert read.people == 3_000
    assert compare_sketches(read, ours).jaccard == 1.0


def test_ids_count_once() -> None:
    """Repeats change neither signature nor size."""
    assert make_sketch(ids(0, 3_000) * 2, id_space="x", salt=SALT) == make_sketch(
        ids(0, 3_000), id_space="x", salt=SALT
    )


def test_few_people_are_refused() -> None:
    """Below ten people a value no sketch is made, and the number of people is not told."""
    with pytest.raises(SketchRefused, match=f"{PEOPLE_LEAST:,} ids") as refused:
        sketch(0, PEOPLE_LEAST - 1)
    assert str(PEOPLE_LEAST - 1) not in str(refused.value)
    assert sketch(0, PEOPLE_LEAST).people == PEOPLE_LEAST
    with pytest.raises(SketchRefused):
        make_sketch(["one"] * PEOPLE_LEAST, id_space="x", salt=SALT)


def test_a_short_salt_is_refused() -> None:
    """A salt that can be guessed protects nobody."""
    with pytest.raises(SketchRefused, match="16 or more"):
        sketch(0, 3_000, salt="short")


def test_what_differs_is_not_compared() -> None:
    """Sketches of two salts, id spaces or schemes are refused instead of compared."""
    ours = sketch(0, 3_000)
    with pytest.raises(SketchRefused, match="salt"):
        compare_sketches(ours, sketch(0, 3_000, salt="another salt of theirs"))
    with pytest.raises(SketchRefused, match="id_space"):
        compare_sketches(ours, sketch(0, 3_000, id_space="idfa"))
    other = msgspec.structs.replace(SCHEME, seed=2)
    with pytest.raises(SchemeMismatch):
        compare_sketches(ours, msgspec.structs.replace(ours, scheme=other))
