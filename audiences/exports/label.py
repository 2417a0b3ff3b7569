"""Sidecars of data files: what the segments in a file are, after IAB Tech Lab's transparency label.

The finished files and the definitions of their audiences come in, `FILE.label.json` goes out for
each file, a list with one label for each segment. The names of the fields are known from one
integration alone, so a seat that asks for labels is told to ask its partner.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

import msgspec

from audiences.exports.formats.parts import Part
from audiences.exports.formats.rows import Counts
from audiences.exports.report import SegmentReport
from audiences.exports.seat import Label, Seat
from audiences.rule import AUDIENCE_TAXONOMY, Audience, Did, DidInOrder, criteria_of
from audiences.rule_words import words_of

Definitions = Callable[[str], Audience | None]
"""Gives an audience as it is defined."""
CRITERIA_CHARACTERS_MAX: Final = 500


class SegmentLabel(msgspec.Struct, frozen=True, kw_only=True):
    """One segment as its label describes it; the order of the fields is that of the file."""

    provider_name: str
    audience_id: str
    taxonomy_id_list: tuple[str, ...]
    """Of IAB's own taxonomy; a vendor's ids mean nothing there."""
    audience_criteria: str
    lookback_window: int | None
    """In days; None where the audience looks at more than a number of past days."""


def labels_of(
    seat: Seat,
    parts: Sequence[Part],
    segments: Sequence[SegmentReport],
    definitions: Definitions,
    open_file: Callable[[str], BinaryIO],
) -> list[Part]:
    """Write the label of each data file, if the seat asks for labels."""
    if seat.label is None:
        return []
    said = [
        (f"{part.name}.label.json", _labels(seat.label, part, segments, definitions))
        for part in parts
        if part.counts.rows
    ]
    return [_written(name, labels, open_file) for name, labels in said]


def _labels(
    label: Label, part: Part, segments: Sequence[SegmentReport], definitions: Definitions
) -> list[SegmentLabel]:
    sent = [each for each in segments if each.adds or each.removes or each.refreshes]
    return [
        _label(label, each, definitions(each.audience))
        for each in sent
        if part.segment in {"", each.segment}
    ]


def _label(label: Label, segment: SegmentReport, audience: Audience | None) -> SegmentLabel:
    taxonomy = audience.taxonomy if audience else None
    is_iab = taxonomy is not None and taxonomy.segtax == AUDIENCE_TAXONOMY
    return SegmentLabel(
        provider_name=label.provider_name,
        audience_id=segment.segment,
        taxonomy_id_list=taxonomy.ids if taxonomy and is_iab else (),
        audience_criteria=_criteria(audience)[:CRITERIA_CHARACTERS_MAX],
        lookback_window=_lookback_days(audience),
    )


def _criteria(audience: Audience | None) -> str:
    if audience is None:
        return ""
    if audience.rule is None:
        return f"{audience.name}: people who resemble another audience"
    return f"{audience.name}: {words_of(audience.rule)}"


def _lookback_days(audience: Audience | None) -> int | None:
    """Give the longest time that a criterion looks back, when all say one."""
    if audience is None or audience.rule is None:
        return None
    days = [
        each.within_days
        for each in criteria_of(audience.rule)
        if isinstance(each, Did | DidInOrder)
    ]
    known = [each for each in days if each is not None]
    return max(known) if known and len(known) == len(days) else None


def _written(name: str, labels: list[SegmentLabel], open_file: Callable[[str], BinaryIO]) -> Part:
    data = msgspec.json.format(msgspec.json.encode(labels)) + b"\n"
    with open_file(name) as file:
        file.write(data)
    digest = hashlib.sha256(data).hexdigest()
    return Part(name=name, bytes=len(data), sha256=digest, counts=Counts())
