"""Builds: order, members that stand, failures, and what is written."""

from typing import Any

import pytest
from pyroaring import BitMap

from audiences.audience_store import BuildStatus
from audiences.build import Builder, NotBuiltError
from audiences.rule import Audience, decode_audience
from matching.ids import VISITOR_FIRST
from matching.people import Identity

pytestmark = pytest.mark.embedded

V1, V2, V3, V4 = (VISITOR_FIRST + i for i in range(4))
BOUGHT = {"type": "did", "event": "Order Completed"}


class Bench:
    """A builder over the shop, with twins that a test sets."""

    def __init__(self, shop: Any) -> None:
        self.shop = shop
        self.twins: dict[str, BitMap] = {}
        self.builder = self.open()

    def open(self) -> Builder:
        """Open a builder as a start of the process does."""
        builder = Builder(
            audiences=self.shop.saved,
            bitmaps=self.shop.bitmaps,
            criteria=self.shop.criteria,
            twins=self._find_twins,
        )
        builder.open()
        return builder

    def save(self, key: str, rule: Any = None, **fields: Any) -> None:
        """Define an audience."""
        plain = {"name": key, "rule": rule, **fields}
        audience = decode_audience(plain, key=key)
        self.shop.saved.save(audience, self.shop.NOW_MS)
        self.shop.audiences[key] = audience

    def _find_twins(self, audience: Audience, as_of_ms: int) -> BitMap:
        self.shop.built = {audience.key: self.twins[audience.key]}
        return self.twins[audience.key]


@pytest.fixture
def bench(shop: Any) -> Bench:
    """Give a builder over a shop in which customer 1 and visitor 3 bought."""
    shop.fill([{"event": "Order Completed", "visitor": each} for each in (V1, V3)])
    return Bench(shop)


def test_members_are_those_of_the_rule_and_stand_after_a_restart(bench: Bench) -> None:
    """A build reports who entered, and its members are there when the process starts anew."""
    bench.save("buyers", BOUGHT)
    report = bench.builder.build("buyers", bench.shop.NOW_MS)
    assert (report.status, report.size, report.entered, report.left) == (BuildStatus.OK, 2, 2, 0)
    again = bench.open()
    assert again.members("buyers") == BitMap([1, V3])
    taken_over = again.report("buyers")
    assert taken_over is not None
    assert (taken_over.size, taken_over.build, taken_over.entered) == (2, report.build, 0)


def test_only_changes_are_written(bench: Bench) -> None:
    """A build that changes nothing leaves no row; one that does tells who entered and left."""
    bench.save("buyers", BOUGHT)
    for _ in range(3):
        bench.builder.build("buyers", bench.shop.NOW_MS)
    bench.shop.fill([{"event": "Order Completed", "customer": each} for each in (1, 2, 3)])
    report = bench.builder.build("buyers", bench.shop.NOW_MS)
    assert (report.size, report.entered, report.left) == (3, 2, 1)
    sizes = [each.size for each in bench.shop.saved.builds("buyers")]
    assert sizes == [3, 2]


def test_all_are_built_after_what_they_need(bench: Bench) -> None:
    """An audience of twins is built before the one that leaves its members out."""
    bench.save("buyers", BOUGHT)
    bench.save("twins", lookalike={"seed": "buyers", "size": 1})
    needed = {"type": "in_audience", "audience": "twins"}
    bench.save("a_first_by_name", {"type": "all", "of": [BOUGHT, {"type": "not", "rule": needed}]})
    bench.twins["twins"] = BitMap([V3])
    reports = bench.builder.build_all(bench.shop.NOW_MS)
    assert [each.key for each in reports] == ["buyers", "twins", "a_first_by_name"]
    assert {each.status for each in reports} == {BuildStatus.OK}
    assert bench.builder.members("a_first_by_name") == BitMap([1])


def test_a_failing_build_leaves_the_old_members(bench: Bench) -> None:
    """The error is reported once, by name; the members that stood still stand."""
    bench.save("buyers", BOUGHT)
    bench.save("twins", lookalike={"seed": "buyers", "size": 1})
    bench.twins["twins"] = BitMap([2])
    bench.builder.build_all(bench.shop.NOW_MS)
    bench.twins.clear()
    for _ in range(2):
        report = bench.builder.build("twins", bench.shop.NOW_MS)
        assert (report.status, report.size) == (BuildStatus.FAILED, 1)
        assert "KeyError" in report.detail
    assert bench.builder.members("twins") == BitMap([2])
    assert bench.open().members("twins") == BitMap([2])
    statuses = [each.status for each in bench.shop.saved.builds("twins")]
    assert statuses == [BuildStatus.FAILED, BuildStatus.OK]
    bench.twins["twins"] = BitMap([2])
    assert bench.builder.build("twins", bench.shop.NOW_MS).status is BuildStatus.OK
    assert len(bench.shop.saved.builds("twins")) == 3


def test_what_was_never_built_or_is_gone_has_no_members(bench: Bench) -> None:
    """Unknown members are an error, also after an audience was deleted."""
    bench.save("buyers", BOUGHT)
    with pytest.raises(NotBuiltError, match="buyers"):
        bench.builder.members("buyers")
    bench.builder.build_all(bench.shop.NOW_MS)
    bench.shop.saved.delete("buyers", bench.shop.NOW_MS)
    assert bench.builder.build_all(bench.shop.NOW_MS) == []
    assert bench.builder.report("buyers") is None
    with pytest.raises(NotBuiltError):
        bench.open().members("buyers")


def test_members_are_given_by_identity_and_the_erased_leave_at_once(bench: Bench) -> None:
    """Audiences of browsers and of people are never mixed; erasure needs no build."""
    bench.save("buyers", BOUGHT)
    bench.save("browsers", BOUGHT, identity="browser")
    bench.builder.build_all(bench.shop.NOW_MS)
    assert bench.builder.members_by_key(Identity.BROWSER) == {"browsers": BitMap([V1, V3])}
    bench.builder.erase(BitMap([1, V1]))
    assert bench.builder.members("buyers") == BitMap([V3])
    assert bench.builder.members("browsers") == BitMap([V3])
