"""Why a partner reaches a person or not: one closed list, and the people of each of its answers.

Sets of browsers and customers, their ids and who is whose come in; for each answer its people go
out, each person in one of them. The identity card takes the same list for one person; nothing here
reads a table.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.rounding import Shown, shown
from matching.partner_facts import VISITORS_PER_ID_MAX
from matching.people import People


class Addressability(StrEnum):
    """How far a browser comes on its way to a partner, in the order of the gates that it passes.

    A browser's answer is the first gate that it does not pass; a person's is that of the browser
    that comes furthest. Where contacts are ids, a customer passes the gates beside its browsers.
    """

    SUPPRESSED = "suppressed"
    NO_BROWSER = "no_browser"
    BOT = "bot"
    GPC = "gpc"
    NO_CONSENT = "no_consent"
    NEVER_OFFERED = "never_offered"
    NO_CONTACT = "no_contact"
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
    Addressability.NO_CONTACT: "the CRM knows no address or number in the form of this partner",
    Addressability.NEVER_RETURNED: "a sync was offered, and no id came back",
    Addressability.REFUSED_ID: "what came back was refused: it is no id",
    Addressability.OTHER_ID_SPACE: "has an id of the partner's other pool, which is not valid here",
    Addressability.DELETED: "the partner deleted its id",
    Addressability.EXPIRED: "the id was not confirmed for too long",
    Addressability.FAN_OUT: f"more than {VISITORS_PER_ID_MAX} carry the same id",
    Addressability.NOT_LINKED: "the hashed contact was named by a browser that is linked to nobody",
    Addressability.NOT_OPTED_IN: "the customer did not opt in to be sent by hashed contact",
    Addressability.DENIED_ELSEWHERE: "somebody who may not be sent carries the same id",
    Addressability.BELOW_MINIMUM: "the audience reaches fewer people than the seat's minimum",
    Addressability.ADDRESSABLE: "can be sent",
}
NOTHING: Final = BitMap()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How far one browser or customer came at a target, and what is known of it there."""

    status: Addressability
    visitor: int = 0
    """0 where a customer's own contacts decided."""
    id_space: str = ""
    id: str | None = None
    """Its newest id; hashed contacts are not told."""
    last_offered: int | None = None
    last_returned: int | None = None
    expires_at: int | None = None
    refusal: str | None = None


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


def carriers_by_status(
    everybody: BitMap,
    *,
    barred: Mapping[Addressability, BitMap],
    ids: Mapping[Addressability, BitMap],
    rest: Addressability,
) -> dict[Addressability, BitMap]:
    """Give every browser, and every customer among them, its one answer for one partner or seat.

    `barred` holds whom a gate stops whatever their ids, in the order of the gates; `ids` those
    whose ids have come to each gate. Nothing is known of the `rest`.
    """
    furthest_first = [(status, ids[status]) for status in reversed(ORDER) if status in ids]
    found: dict[Addressability, BitMap] = {}
    left = everybody.copy()
    for status, which in [*barred.items(), *furthest_first]:
        found[status] = found.get(status, NOTHING) | (left & which)
        left -= which
    found[rest] = found.get(rest, NOTHING) | left
    return found


def people_by_status(
    carriers: Mapping[Addressability, BitMap],
    *,
    people: People,
    everyone: BitMap,
    suppressed: BitMap,
) -> dict[Addressability, BitMap]:
    """Give every person the answer of the browser or customer of it that comes furthest."""
    found = {Addressability.SUPPRESSED: everyone & suppressed}
    left = everyone - suppressed
    for status in reversed(ORDER):
        persons = people.persons_of_visitors(carriers.get(status, NOTHING)) & left
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
