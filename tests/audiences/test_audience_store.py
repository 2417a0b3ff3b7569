"""Definitions with versions, what they need of one another, and builds as stored."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.audience_store import Build, BuildStatus
from audiences.definitions import (
    AudienceCycleError,
    AudienceInUseError,
    UnknownAudienceError,
    build_order,
)
from audiences.rule import Audience, decode_audience, referenced_audiences
from matching.people import Identity


def needing(key: str, *others: str) -> Audience:
    """Make an audience that needs these others."""
    of = [{"type": "in_audience", "audience": other} for other in others]
    return decode_audience(
        {"name": key, "rule": {"type": "any", "of": [*of, {"type": "everyone"}]}}, key=key
    )


def test_a_changed_definition_gets_a_new_version(shop: Any) -> None:
    """Saving the same again changes nothing; versions go on after a deletion."""
    first = shop.saved.save(needing("a"), 1)
    assert shop.saved.save(needing("a"), 2) == first
    shop.saved.save(needing("b"), 2)
    assert shop.saved.save(needing("a", "b"), 3).version == 2
    assert shop.saved.get("a").audience == needing("a", "b")
    shop.saved.delete("a", 4)
    assert list(shop.saved.audiences()) == ["b"]
    assert shop.saved.save(needing("a"), 5).version == 4


@pytest.mark.parametrize(
    ("audience", "error"),
    [
        pytest.param(needing("c", "nobody"), UnknownAudienceError, id="unknown"),
        pytest.param(needing("a", "a"), AudienceCycleError, id="itself"),
        pytest.param(needing("a", "b"), AudienceCycleError, id="through another"),
    ],
)
def test_a_definition_that_cannot_be_built_is_refused(
    shop: Any, audience: Audience, error: type[Exception]
) -> None:
    """Unknown audiences and circles are found when a definition is saved."""
    shop.saved.save(needing("a"), 1)
    shop.saved.save(needing("b", "a"), 1)
    with pytest.raises(error, match=audience.key):
        shop.saved.save(audience, 2)
    assert shop.saved.get("a").version == 1


def test_an_audience_that_is_needed_cannot_go(shop: Any) -> None:
    """Deleting names the audiences that need it, and unknown keys are errors."""
    shop.saved.save(needing("a"), 1)
    shop.saved.save(needing("b", "a"), 1)
    with pytest.raises(AudienceInUseError, match="needed by b"):
        shop.saved.delete("a", 2)
    for ask in (shop.saved.get, lambda key: shop.saved.delete(key, 2)):
        with pytest.raises(UnknownAudienceError):
            ask("c")


@given(st.lists(st.sets(st.integers(0, 5)), min_size=6, max_size=6))
def test_the_order_puts_needed_audiences_first(needs: list[set[int]]) -> None:
    """Without circles every audience comes after those that it needs."""
    audiences = {
        f"a{i}": needing(f"a{i}", *(f"a{j}" for j in sorted(wanted) if j < i))
        for i, wanted in enumerate(needs)
    }
    order = build_order(audiences)
    assert sorted(order) == sorted(audiences)
    for key in order:
        for needed in referenced_audiences(audiences[key]):
            assert order.index(needed) < order.index(key)


def build(number: int, status: BuildStatus = BuildStatus.OK, audience: str = "a") -> Build:
    return Build(
        audience=audience,
        build=number,
        version=3,
        identity=Identity.BROWSER,
        at_ms=1_700_000_000_123,
        status=status,
        detail="déjà vu" * 30,
        size=7,
    )


def test_builds_are_read_back_as_they_were_written(shop: Any) -> None:
    """The newest build that succeeded stands with its members; failures only show in the list."""
    members = BitMap(range(0, 90_000, 3))
    shop.bitmaps.write(build(1), BitMap([5]))
    shop.bitmaps.write(build(2), members)
    shop.bitmaps.write(build(3, BuildStatus.FAILED), BitMap())
    shop.bitmaps.write(build(9, audience="b"), BitMap())
    assert shop.bitmaps.newest() == {
        "a": (build(2), members),
        "b": (build(9, audience="b"), BitMap()),
    }
    assert shop.saved.builds("a") == [build(3, BuildStatus.FAILED), build(2), build(1)]
    assert shop.saved.builds("a", limit=1) == [build(3, BuildStatus.FAILED)]


def test_old_builds_are_forgotten_but_for_what_stands(shop: Any) -> None:
    """Of each audience the newest stay, and always the one whose members stand."""
    for number in (1, 2):
        shop.bitmaps.write(build(number), BitMap([number]))
    for number in (3, 4):
        shop.bitmaps.write(build(number, BuildStatus.FAILED), BitMap())
    shop.bitmaps.forget_old(keep=1)
    assert [each.build for each in shop.saved.builds("a")] == [4, 2]
