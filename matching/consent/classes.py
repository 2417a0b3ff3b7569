"""All visitors by what stands of their consent: one decision for each class, spread by numpy.

A class is what a visitor's signals say together, and the site of the newest. A `ConsentClasses` is
never changed: what was told since makes another one. Bitmaps that come out are the caller's own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, bitmap_of_mask
from matching.consent.decide import PartnerConsent, Signals, Use, says_gpc
from matching.consent.fold import fold
from matching.consent.history import Decide, read_signals
from matching.consent.signals import encode_signals
from matching.ids import VISITOR_FIRST

_NONE_YET: Final = np.empty(0, dtype=np.uint32)
_PIECE: Final = 1 << 20


class _OptOut(msgspec.Struct):
    opted_out: bool = False


class Stands(NamedTuple):
    """What stands of a visitor: the folded text, the site of the newest, whether it opted out."""

    text: str | None
    """None when a row cannot be read; then everything is denied."""
    site: str
    opted_out: bool


class ConsentClass(msgspec.Struct, frozen=True, kw_only=True):
    """All visitors of whom the same stands; signals of `None` cannot be read."""

    signals: Signals | None
    site: str
    opted_out: bool
    visitors: BitMap


class ConsentClasses:
    """Which class each visitor is in: a number at the visitor's ordinal, 0 for the unheard.

    Takes four bytes a visitor, and a text and its `Signals` a class.
    """

    def __init__(
        self,
        kinds: Mapping[Stands, Signals | None] = MappingProxyType({}),
        numbers: NDArray[np.uint32] = _NONE_YET,
    ) -> None:
        """Take the classes 1, 2, 3 ... and each visitor's number; classes of nobody are dropped."""
        self._kinds, self._numbers = _without_empty(kinds, numbers)
        self._numbers.setflags(write=False)

    @classmethod
    def of(cls, kinds: Iterable[Stands], numbers: NDArray[np.uint32]) -> Self:
        """Read what stands in each class."""
        return cls({kind: signals_of(kind) for kind in kinds}, numbers)

    def __len__(self) -> int:
        """Count the classes."""
        return len(self._kinds)

    def __iter__(self) -> Iterator[ConsentClass]:
        """List the classes with their visitors; who asks of all visitors asks `where`."""
        order = np.argsort(self._numbers, kind="stable")
        borders = np.searchsorted(self._numbers[order], np.arange(1, len(self) + 2)).tolist()
        for place, (kind, signals) in enumerate(self._kinds.items()):
            members = order[borders[place] : borders[place + 1]] + VISITOR_FIRST
            yield ConsentClass(
                signals=signals,
                site=kind.site,
                opted_out=kind.opted_out,
                visitors=bitmap_of(members.astype(np.uint32)),
            )

    def where(self, wanted: Callable[[Signals | None, Stands], bool]) -> BitMap:
        """Find the visitors of the classes that are wanted, asking once of each class."""
        answers = [wanted(signals, kind) for kind, signals in self._kinds.items()]
        mask = np.array([False, *answers])[self._numbers]
        return bitmap_of_mask(mask, first=VISITOR_FIRST)

    def heard(self) -> BitMap:
        """Find everybody who ever said anything."""
        return bitmap_of_mask(self._numbers != 0, first=VISITOR_FIRST)

    def changed(self, stands: Mapping[int, Stands | None]) -> "ConsentClasses":
        """Give the classes once this stands of these visitors; of None nothing is known."""
        kinds = dict(self._kinds)
        for each in stands.values():
            if each is not None and each not in kinds:
                kinds[each] = signals_of(each)
        number_of = {kind: number for number, kind in enumerate(kinds, 1)}
        visitors = np.fromiter(stands, dtype=np.int64, count=len(stands)) - VISITOR_FIRST
        numbers = self._numbers.copy()
        if visitors.size:
            numbers.resize(max(numbers.size, int(visitors.max()) + 1))  # filled up with 0
        numbers[visitors] = [0 if each is None else number_of[each] for each in stands.values()]
        return ConsentClasses(kinds, numbers)


def allowed_visitors(
    classes: ConsentClasses,
    partner: PartnerConsent | None,
    use: Use,
    decide: Decide,
    *,
    visitors: BitMap,
    default_site: str,
) -> BitMap:
    """Find which of `visitors` allow a use; those never heard of follow the default site."""

    def allows(signals: Signals | None, kind: Stands) -> bool:
        return signals is not None and decide(signals, use, partner, kind.site).allowed

    allowed = classes.where(allows) & visitors
    if decide(Signals(), use, partner, default_site).allowed:
        allowed |= visitors - classes.heard()
    return allowed


def denied_visitors(classes: ConsentClasses, use: Use, decide: Decide) -> BitMap:
    """Find the visitors whose signals forbid a use of our own."""
    return classes.where(
        lambda signals, kind: signals is None or not decide(signals, use, None, kind.site).allowed
    )


def visitors_with_gpc(classes: ConsentClasses, *_: object) -> BitMap:
    """Find the browsers that send Global Privacy Control, which speaks for the customer too."""
    return classes.where(lambda signals, _: signals is not None and says_gpc(signals))


class Told(NamedTuple):
    """One stored text: its signals, None when it cannot be read, and whether it is an opt-out."""

    signals: Signals | None
    opted_out: bool


def told_by(text: str) -> Told:
    """Read one stored text; an opt-out counts even where the rest is not understood."""
    signals = read_signals(text)
    return Told(signals, _says_opt_out(text) if signals is None else signals.opted_out)


def stands_of(newest_first: Iterable[Told], site: str) -> Stands:
    """Fold what a visitor told; what cannot be read denies, whatever else was said."""
    said: list[Signals] = []
    opted_out, is_readable = False, True
    for each in newest_first:
        opted_out = opted_out or each.opted_out
        if each.signals is None:
            is_readable = False
        else:
            said.append(each.signals)
    return Stands(encode_signals(fold(said)) if is_readable else None, site, opted_out)


def signals_of(kind: Stands) -> Signals | None:
    """Give what stands as a value; None when it cannot be read."""
    return None if kind.text is None else read_signals(kind.text)


def _says_opt_out(text: str) -> bool:
    try:
        return msgspec.json.decode(text, type=_OptOut).opted_out
    except (msgspec.DecodeError, UnicodeError):
        return False


def _without_empty(
    kinds: Mapping[Stands, Signals | None], numbers: NDArray[np.uint32]
) -> tuple[dict[Stands, Signals | None], NDArray[np.uint32]]:
    """Drop classes that nobody is in and number the others anew."""
    used = np.zeros(len(kinds) + 1, dtype=np.bool_)
    for start in range(0, numbers.size, _PIECE):  # numpy widens what it counts to 8 bytes
        used |= np.bincount(numbers[start : start + _PIECE], minlength=used.size) > 0
    used[0] = True
    if used.all():
        return dict(kinds), numbers
    kept = zip(kinds.items(), used[1:].tolist(), strict=True)
    renumbered = (np.cumsum(used) - 1).astype(np.uint32)
    return {kind: signals for (kind, signals), is_used in kept if is_used}, renumbered[numbers]
