"""Why a partner reaches a person or not: one closed list, and the people of each of its answers.

Sets of browsers, their ids and who is whose come in; for each answer its people go out, each person
in one of them. The identity card takes the same list for one person; nothing here reads a table.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.exports.reach import Carriers
from audiences.rounding import Shown, shown
from matching.partner_facts import VISITORS_PER_ID_MAX
from matching.people import People


class Addressability(StrEnum):
    """How far a browser comes on its way to a partner, in the order of the gates that it passes.

    A browser's answer is the first gate that it does not pass; a person's is that of the browser
    that comes furthest.
    """

    SUPPRESSED = "suppressed"
    NO_BROWSER = "no_browser"
    BOT = "bot"
    GPC = "gpc"
    NO_CONSENT = "no_consent"
    NEVER_OFFERED = "never_offered"
    NEVER_RETURNED = "never_returned"
    REFUSED_ID = "refused_id"
    OTHER_ID_SPACE = "other_id_space"
    DELETED = "deleted"
    EXPIRED = "expired"
    FAN_OUT = "fan_out"
    NOT_LINKED = "not_linked"
    NOT_OPTED_IN = "not_opted_in"
    DENIED_ELSEWHERE = "denied_elsewhere"
    BELOW_MINIMUM = "below_minimum"
    """Of an audience on a seat alone: nobody of it is sent."""
    ADDRESSABLE = "addressable"


ORDER: Final = tuple(Addressability)
WORDS: Final[Mapping[Addressability, str]] = {
    Addressability.SUPPRESSED: "is suppressed: may not be used any more",
    Addressability.NO_BROWSER: "no browser is linked by proof",
    Addressability.BOT: "the browser was judged to be a bot",
    Addressability.GPC: "a browser sends Global Privacy Control, which denies for all of them",
    Addressability.NO_CONSENT: "consent does not allow it",
    Addressability.NEVER_OFFERED: "no sync was ever offered",
    Addressability.NEVER_RETURNED: "a sync was offered, and no id came back",
    Addressability.REFUSED_ID: "what came back was refused: it is no id",
    Addressability.OTHER_ID_SPACE: "has an id of the partner's other pool, which is not valid here",
    Addressability.DELETED: "the partner deleted its id",
    Addressability.EXPIRED: "the id was not confirmed for too long",
    Addressability.FAN_OUT: f"more than {VISITORS_PER_ID_MAX} browsers carry the same id",
    Addressability.NOT_LINKED: "the hashed contact was named by a browser that is linked to nobody",
    Addressability.NOT_OPTED_IN: "the customer did not opt in to be sent by hashed contact",
    Addressability.DENIED_ELSEWHERE: "a browser that may not be sent carries the same id",
    Addressability.BELOW_MINIMUM: "the audience reaches fewer people than the seat's minimum",
    Addressability.ADDRESSABLE: "can be sent",
}
NOTHING: Final = BitMap()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One gate of a waterfall: how many people it lost, and how many are left after it."""

    status: Addressability
    reason: str
    lost: Shown
    left: Shown


class Waterfall(msgspec.Struct, frozen=True, kw_only=True):
    """From all people to those who can be sent; every lost person counts at one gate."""

    people: Shown
    addressable: Shown
    steps: tuple[Step, ...]


def browsers_by_status(
    visitors: BitMap,
    *,
    bots: BitMap,
    gpc: BitMap,
    carriers: Carriers,
    ids: Mapping[Addressability, BitMap],
) -> dict[Addressability, BitMap]:
    """Give every browser its one answer for one partner or seat.

    `ids` holds the browsers whose ids have come to each gate, from `NEVER_RETURNED` on; `carriers`
    is what exports go by.
    """
    barred = {
        Addressability.SUPPRESSED: carriers.suppressed_browsers,
        Addressability.BOT: bots,
        Addressability.GPC: gpc,
        Addressability.NO_CONSENT: visitors - carriers.allowed,
    }
    named = {
        **ids,
        Addressability.DENIED_ELSEWHERE: carriers.with_live_id,
        Addressability.ADDRESSABLE: carriers.sendable,
    }
    furthest_first = [(status, named[status]) for status in reversed(ORDER) if status in named]
    found: dict[Addressability, BitMap] = {}
    left = visitors.copy()
    for status, which in [*barred.items(), *furthest_first]:
        found[status] = left & which
        left -= which
    found[Addressability.NEVER_OFFERED] = left
    return found


def people_by_status(
    browsers: Mapping[Addressability, BitMap],
    *,
    people: People,
    everyone: BitMap,
    suppressed: BitMap,
) -> dict[Addressability, BitMap]:
    """Give every person the answer of the browser that comes furthest."""
    found = {Addressability.SUPPRESSED: everyone & suppressed}
    left = everyone - suppressed
    for status in reversed(ORDER):
        persons = people.persons_of_visitors(browsers.get(status, NOTHING)) & left
        found[status] = found.get(status, NOTHING) | persons
        left -= persons
    found[Addressability.NO_BROWSER] = left
    return found


def waterfall_of(
    by_status: Mapping[Addressability, BitMap],
    *,
    among: BitMap | None = None,
    min_people: int = 0,
    exact: bool,
) -> Waterfall:
    """Count people gate by gate, all of them or those of an audience.

    Where fewer than `min_people` would be sent, nobody is.
    """
    counts = {
        status: len(members) if among is None else members.intersection_cardinality(among)
        for status, members in by_status.items()
    }
    if counts[Addressability.ADDRESSABLE] < min_people:
        counts[Addressability.BELOW_MINIMUM] = counts[Addressability.ADDRESSABLE]
        counts[Addressability.ADDRESSABLE] = 0
    people = left = sum(counts.values())
    steps = []
    for status in ORDER[:-1]:
        left -= counts[status]
        steps.append(
            Step(
                status=status,
                reason=WORDS[status],
                lost=shown(counts[status], exact),
                left=shown(left, exact),
            )
        )
    return Waterfall(
        people=shown(people, exact), addressable=shown(left, exact), steps=tuple(steps)
    )
