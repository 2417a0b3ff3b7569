"""What a sync with a partner is worth: how many people of active audiences it makes addressable.

A page has room for a few pixels only. Return rates, activations and who is reached already come in;
the partners go out with the weight by which tag processes choose among those of equal priority.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.exports.seats import Seat
from matching.bitmaps import bitmap_of
from matching.partner_answers_store import PartnerAnswersStore
from matching.partner_facts import Direction, Partner
from matching.partner_ids_store import CarriedIds
from matching.people import People

RATE_DAYS: Final = 7
DAY_MS: Final = 86_400_000
STANDS_MS: Final = 60_000
"""So long a computed weight stands at least; one that took long stands a hundred times as long."""
WORTH_MS_PER_S: Final = 100_000
PER_SYNCS: Final = 1_000
DIGITS: Final = 3

Members = Callable[[str], tuple[People, BitMap] | None]
"""An audience's people and members by its key; None when it was never built."""


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one partner's next sync."""

    answered: int
    offered: int
    unreached: int
    """Browsers whose people are in an active audience of its seats and cannot be reached there."""
    browsers: int
    """All browsers: the next page is of one of them."""

    @property
    def people_per_sync(self) -> float:
        """Give how many more people one sync makes addressable, as expected."""
        # Why one of two more: a partner of whom nothing is known deserves to be tried.
        rate = (self.answered + 1) / (self.offered + 2)
        return min(rate, 1.0) * self.unreached / self.browsers if self.browsers else 0.0


def weighted(partners: Iterable[Partner], worths: Mapping[str, Worth]) -> tuple[Partner, ...]:
    """Give the partners with the weight of what they are worth, times the file's own.

    Where no partner is worth anything, such as without activations, the file's weights stand.
    """
    given = tuple(partners)
    if not any(each.people_per_sync for each in worths.values()):
        return given
    return tuple(
        msgspec.structs.replace(partner, weight=_weight(partner, worths.get(partner.key)))
        for partner in given
    )


def _weight(partner: Partner, worth: Worth | None) -> float:
    value = partner.weight * PER_SYNCS * (worth.people_per_sync if worth else 0.0)
    # Why rounded: the published state is written anew whenever it differs.
    return float(f"{value:.{DIGITS}g}")


def unreached_browsers(
    activated: Iterable[tuple[People, BitMap]], *, live: BitMap, allowed: BitMap
) -> BitMap:
    """Give the browsers that may be sent to a seat and whose people it cannot reach yet."""
    found = BitMap()
    for people, members in activated:
        browsers = people.visitors_of(members) & allowed
        reached = people.persons_of_visitors(browsers & live)
        found |= people.visitors_of(members - reached) & allowed
    return found


class SyncWeights:
    """Weighs every partner anew, once a minute at most."""

    def __init__(
        self,
        *,
        partners: Sequence[Partner],
        seats: Sequence[Seat],
        answers: PartnerAnswersStore,
        activated: Callable[[str], Sequence[str]],
        members: Members,
        live: Callable[[Seat], Sequence[CarriedIds]],
        allowed: Callable[[Seat], BitMap],
        browsers: Callable[[], int],
        now_ms: Callable[[], int],
    ) -> None:
        self._partners = tuple(partners)
        self._seats = tuple(seats)
        self._answers = answers
        self._activated = activated
        self._members = members
        self._live = live
        self._allowed = allowed
        self._browsers = browsers
        self._now_ms = now_ms
        self._found = self._partners
        self._stands_until_ms = 0

    def partners(self) -> tuple[Partner, ...]:
        """Give all partners, weighted."""
        now_ms = self._now_ms()
        if now_ms >= self._stands_until_ms:
            started = time.monotonic()
            self._found = weighted(self._partners, self.worths(now_ms))
            took_ms = int((time.monotonic() - started) * WORTH_MS_PER_S)
            self._stands_until_ms = now_ms + max(STANDS_MS, took_ms)
        return self._found

    def worths(self, now_ms: int) -> dict[str, Worth]:
        """Weigh each partner by its answers and by its seats' activations."""
        health = {
            each.partner: each
            for each in self._answers.read(since_ms=now_ms - RATE_DAYS * DAY_MS).health
        }
        unreached = {seat.key: self._unreached(seat) for seat in self._seats}
        browsers = self._browsers()
        worths = {}
        for partner in self._partners:
            counted = health.get(partner.key)
            # Why none: nothing comes back from a partner that keeps our id, so nothing is counted.
            if partner.sync.direction is not Direction.BACK:
                counted = None
            missing = _together(
                unreached[seat.key] for seat in self._seats if partner.id_space in seat.id_spaces
            )
            worths[partner.key] = Worth(
                answered=counted.returned if counted else 0,
                offered=counted.offered if counted else 0,
                unreached=len(missing),
                browsers=browsers,
            )
        return worths

    def _unreached(self, seat: Seat) -> BitMap:
        found = [self._members(key) for key in self._activated(seat.key)]
        built = [each for each in found if each is not None]
        if not built:
            return BitMap()
        live = _together(bitmap_of(each.visitors) for each in self._live(seat))
        return unreached_browsers(built, live=live, allowed=self._allowed(seat))


def _together(bitmaps: Iterable[BitMap]) -> BitMap:
    found = BitMap()
    for each in bitmaps:
        found |= each
    return found
