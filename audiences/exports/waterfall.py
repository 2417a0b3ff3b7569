"""Where the people of an audience get lost on their way to a segment, stage by stage.

In go the members and, for each answer of the identity card, everybody who has it; out come the
people left after each stage and how many each answer cost. Nobody is lost twice.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from pyroaring import BitMap


class StageName(StrEnum):
    """The stages, in the order in which a run tells them."""

    MEMBERS = "members"
    BROWSERS = "browsers"
    LIVE_IDS = "live_ids"
    CONSENT = "consent"
    SUPPRESSION = "suppression"
    HOLD_OUT = "hold_out"
    SENT = "sent"


ADDRESSABLE: Final = "addressable"
NO_BROWSER: Final = "no_browser"
HELD_OUT: Final = "held_out"
BELOW_MINIMUM: Final = "below_minimum"
STAGE_OF: Final[Mapping[str, StageName]] = {
    NO_BROWSER: StageName.BROWSERS,
    "never_offered": StageName.LIVE_IDS,
    "no_contact": StageName.LIVE_IDS,
    "never_returned": StageName.LIVE_IDS,
    "refused_id": StageName.LIVE_IDS,
    "other_id_space": StageName.LIVE_IDS,
    "deleted": StageName.LIVE_IDS,
    "expired": StageName.LIVE_IDS,
    "fan_out": StageName.LIVE_IDS,
    "bot": StageName.CONSENT,
    "gpc": StageName.CONSENT,
    "no_consent": StageName.CONSENT,
    "not_linked": StageName.CONSENT,
    "not_opted_in": StageName.CONSENT,
    "denied_elsewhere": StageName.CONSENT,
    "suppressed": StageName.SUPPRESSION,
    HELD_OUT: StageName.HOLD_OUT,
    BELOW_MINIMUM: StageName.SENT,
}
"""The stage at which each answer of the card takes people away."""


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """The people whom one answer of the card took away."""

    reason: str
    people: int


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """The people left after one stage, and those who were lost at it."""

    stage: StageName
    people: int
    lost: list[Lost] = []


def waterfall(
    persons: BitMap, answers: Mapping[str, BitMap], *, sent: int, is_below: bool
) -> list[Stage]:
    """Walk the stages; `sent` people pass them all, or would, were they not below the minimum."""
    counts = {
        str(reason): who.intersection_cardinality(persons)
        for reason, who in answers.items()
        if reason != ADDRESSABLE
    }
    reached = answers.get(ADDRESSABLE, BitMap()).intersection_cardinality(persons)
    # Why: who is unknown by now, erased since the audience was built, has no browser any more.
    nobody = len(persons) - reached - sum(counts.values())
    counts[NO_BROWSER] = counts.get(NO_BROWSER, 0) + nobody
    counts[HELD_OUT] = reached - sent
    counts[BELOW_MINIMUM] = sent if is_below else 0
    left = len(persons)
    stages = []
    for name in StageName:
        lost = [
            Lost(reason=reason, people=count)
            for reason, count in counts.items()
            if count and STAGE_OF.get(reason, StageName.CONSENT) is name
        ]
        left -= sum(each.people for each in lost)
        stages.append(Stage(stage=name, people=left, lost=lost))
    return stages
