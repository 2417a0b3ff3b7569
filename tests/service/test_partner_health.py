"""Which partner is broken is found by itself, from what came back and what did not."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from matching.ids import VISITOR_FIRST
from matching.partner_answers_store import PartnerDay, PartnerHealth
from matching.partner_ids_store import PartnerIdColumns, PartnerIdsStore
from matching.partners import Partner, known_facts
from service.engine.partner_health import PartnerWatch, Standing, judge

TODAY = dt.date(2026, 11, 22)
NOW_MS = 1_795_350_000_000  # 22 November 2026, 12:20 UTC
DAY_MS = 86_400_000
PIXEL = known_facts("pixel") | {"name": "P", "id_space": "pixel", "enabled": True}
Day = tuple[int, int, int]
"""Days ago, offered, returned."""


def partner(key: str = "pixel", direction: str = "back") -> Partner:
    """Make a partner that is switched on."""
    sync = PIXEL["sync"] | {"direction": direction}
    return msgspec.convert(PIXEL | {"key": key, "id_space": key, "sync": sync}, Partner)


def health(
    offered: int, returned: int, *, unanswered: int = 0, last_ms: int = NOW_MS, **refusals: int
) -> PartnerHealth:
    """Make the counts of a month."""
    return PartnerHealth(
        partner="pixel",
        offered=offered,
        returned=returned,
        refusals=refusals,
        unanswered=unanswered,
        last_returned_ms=last_ms if returned else 0,
    )


CASES: dict[str, tuple[Standing, PartnerHealth, list[Day]]] = {
    "nothing yet": (Standing.NEW, health(0, 0), []),
    "a few offers": (Standing.NEW, health(19, 0, unanswered=19), []),
    "it answers": (Standing.OK, health(1_000, 400, unanswered=3), []),
    "a bad hour of a weak partner": (Standing.OK, health(10_000, 500, unanswered=200), []),
    "the same hour of a strong one": (Standing.SILENT, health(10_000, 5_000, unanswered=200), []),
    "just long enough": (Standing.SILENT, health(1_000, 490, unanswered=21), []),
    "just not": (Standing.OK, health(1_000, 490, unanswered=19), []),
    "never": (Standing.NEVER_ANSWERED, health(100, 0, unanswered=100), []),
    "nearly never": (Standing.OK, health(99, 0, unanswered=99), []),
    "never anything good": (
        Standing.MOSTLY_REFUSED,
        health(100, 0, unanswered=100, bad_pattern=30),
        [],
    ),
    "literal macros": (
        Standing.LITERAL_MACROS,
        health(1_000, 95, literal_macro=5),
        [],
    ),
    "a single literal macro": (Standing.OK, health(1_000, 2, literal_macro=1), []),
    "macros among many answers": (Standing.OK, health(10_000, 5_000, literal_macro=200), []),
    "refused more than taken": (
        Standing.MOSTLY_REFUSED,
        health(1_000, 100, sentinel=60, bad_pattern=60),
        [],
    ),
    "falling": (
        Standing.FALLING,
        health(1_200, 420),
        [(5, 1_000, 400), (1, 100, 10), (0, 100, 10)],
    ),
    "falling by chance": (
        Standing.OK,
        health(1_060, 404),
        [(5, 1_000, 10), (1, 30, 0), (0, 30, 0)],
    ),
    "rising": (Standing.OK, health(1_200, 300), [(5, 1_000, 100), (0, 200, 200)]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_partner_is_judged_by_its_own_past(case: str) -> None:
    """Silence, macros, refusals and a falling rate are told from chance and from beginnings."""
    expected, counted, days = CASES[case]
    told = [
        PartnerDay(
            partner="pixel",
            day=TODAY - dt.timedelta(days=ago),
            browser="chrome",
            offered=offered,
            returned=returned,
        )
        for ago, offered, returned in days
    ]
    assert judge(partner(), counted, told, TODAY) is expected


def test_every_standing_has_a_case() -> None:
    """A new standing without a case fails here."""
    assert {expected for expected, *_ in CASES.values()} | {Standing.KEEPS_OURS} == set(Standing)


@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_partner_that_keeps_our_id_is_never_silent(direction: str) -> None:
    """Where nothing comes back nothing can be missed."""
    counted = health(10_000, 0, unanswered=10_000)
    assert judge(partner(direction=direction), counted, [], TODAY) is Standing.KEEPS_OURS


@pytest.mark.clickhouse
@pytest.mark.embedded
def test_a_partner_that_stops_is_flagged_by_itself(database: Any) -> None:
    """From the table alone: since when, how it was, and what to do; the other one is well."""
    store = PartnerIdsStore(database.client())
    store.open()
    for key, until_h in (("well", 0), ("gone", 24)):
        put_hours(store, key, until_h=until_h)
    clock = [NOW_MS]
    watch = PartnerWatch(
        partners=[partner("gone"), partner("well"), partner("unused")],
        answers=store.answers,
        now_ms=lambda: clock[0],
        time_zone="UTC",
    )
    gone, well, unused = watch.reports()
    assert [each.standing for each in (gone, well, unused)] == [
        Standing.SILENT,
        Standing.OK,
        Standing.NEW,
    ]
    assert gone.silent_since == gone.last_returned == NOW_MS - 24 * 3_600_000
    assert "jumelle partner test gone" in gone.advice
    assert (gone.offered, gone.returned, well.returned) == (96 * 4, 72 * 2, 96 * 2)
    assert (gone.refusals, gone.literal_macros) == ({"literal_macro": 1}, 1)
    assert [(each.of, each.match_rate) for each in well.browsers] == [
        ("chrome", 1.0),
        ("safari", 0.0),
    ]
    assert [each.of for each in well.days] == [f"2026-11-{day}" for day in (18, 19, 20, 21, 22)]
    assert watch.problems() == [f"partner gone: {gone.advice}"]
    store.erase([VISITOR_FIRST])
    assert watch.reports()[0].offered == gone.offered
    clock[0] += 3_600_000
    assert watch.reports()[0].offered == 0
    assert watch.problems() == []


def put_hours(store: PartnerIdsStore, key: str, *, until_h: int) -> None:
    """Let four days pass: each hour two Chromes and two Safaris; the Chromes' ids come back."""
    rows: list[tuple[int, str, str, int, str, str]] = []
    for hour in range(96):
        at_ms = NOW_MS - hour * 3_600_000 - (0 if hour else 600_000)
        for number in range(4):
            nonce = hour * 4 + number + 1
            browser = "chrome" if number < 2 else "safari"
            rows.append((at_ms, "offered", "", nonce, "", browser))
            if number < 2 and hour >= until_h:
                rows.append((at_ms, "stored", "", nonce, f"X{nonce}", browser))
    if until_h:
        rows.append((NOW_MS - DAY_MS, "refused", "literal_macro", 0, "", ""))
    store.insert(
        PartnerIdColumns(
            chunk=[1] * len(rows),
            row=list(range(len(rows))),
            received_at_ms=[each[0] for each in rows],
            partner=[key] * len(rows),
            id_space=[key] * len(rows),
            action=[each[1] for each in rows],
            reason=[each[2] for each in rows],
            nonce=[each[3] for each in rows],
            visitor=[VISITOR_FIRST] * len(rows),
            id=[each[4] for each in rows],
            id_ordinal=store.id_ordinals(key, [each[4] for each in rows]),
            source=["sync"] * len(rows),
            browser=[each[5] for each in rows],
        )
    )
