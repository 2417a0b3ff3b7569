"""A small world around one seat, and the partner who applies its files: for the tests of runs."""

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from audiences.exports.export_store import ExportStore
from audiences.exports.formats.choose import writer_of
from audiences.exports.formats.parts import Group
from audiences.exports.id_shapes import shape_of
from audiences.exports.manifest import read_manifest
from audiences.exports.report import ExportReport
from audiences.exports.run import export_seat
from audiences.exports.run_steps import OnStep, RunStep
from audiences.exports.seat import Removal
from audiences.exports.seat_state import Activation, Asked, IdText
from audiences.exports.seats import Seat
from audiences.exports.wanted import Who
from audiences.rule import Audience
from matching.id_texts_store import IdTexts
from matching.ids import VISITOR_FIRST
from matching.partner_ids_store import LiveIds
from matching.people import Identity, People

AT_MS = 1_795_219_200_000
DAY_MS = 86_400_000
MINUTE_MS = 60_000
VISITORS = 20
SIDECARS = (".info", ".label.json")


class Killed(Exception):
    """The process was killed here."""


def dies_at(step: RunStep, nth: int = 1) -> OnStep:
    """Give what ends the run when it has passed a point for the `nth` time."""
    passed: list[RunStep] = []

    def on_step(now: RunStep) -> None:
        passed.append(now)
        if passed.count(step) == nth and now is step:
            raise Killed(step)

    return on_step


class World:
    """Visitors who carry ids, audiences of them, and one seat that applies the files it gets."""

    def __init__(self, store: ExportStore, seat: Seat, out_dir: Path, make_live: Any) -> None:
        self.store = store
        self.seat = seat
        self.out_dir = out_dir
        self.carried: dict[int, str] = {each: id_text(seat, each) for each in range(VISITORS)}
        self.ordinals: dict[str, int] = {}
        self.allowed = set(range(VISITORS))
        self.suppressed: set[int] = set()
        self.members: dict[str, set[int]] = {}
        self.activations: list[Activation] = []
        self.erased: set[int] = set()
        self.definitions: dict[str, Audience] = {}
        self._make_live = make_live

    def activate(self, audience: str, segment: str, members: set[int], days: int = 0) -> None:
        """Put an audience of visitors on the seat, in place of what it was."""
        self.members[audience] = members
        self.activations = [each for each in self.activations if each.audience != audience]
        self.activations.append(
            Activation(seat=self.seat.key, audience=audience, segment=segment, expires_days=days)
        )

    def export(self, run: int, *, day: int = 0, on_step: Any = None, **asked: bool) -> ExportReport:
        """Run the export on the given day."""
        return export_seat(
            self.seat,
            activations=self.activations,
            who=self.who(self.live()),
            texts=self.texts(),
            store=self.store,
            out_dir=self.out_dir,
            run=run,
            now_ms=AT_MS + day * DAY_MS + run * 1000,
            asked=Asked(**asked),
            definitions=self.definitions.get,
            on_step=on_step,
        )

    def who(self, live: Any) -> Who:
        """Give everybody who decides, with answers in the words of the card."""
        free = visitors(self.allowed) - visitors(self.suppressed)
        with_id = visitors(set(self.carried))
        everybody = visitors(set(range(VISITORS)))
        return Who(
            members=self._members_of,
            answers=lambda _: {
                "suppressed": visitors(self.suppressed),
                "no_consent": everybody - visitors(self.allowed) - visitors(self.suppressed),
                "never_offered": free - with_id,
                "addressable": free & with_id,
            },
            live=[live, *[self._make_live([], {}) for _ in self.seat.id_spaces[1:]]],
            allowed=visitors(self.allowed),
            suppressed=visitors(self.suppressed),
            holdout_key=bytes(16),
        )

    def live(self) -> Any:
        """Give the live ids, each with its own ordinal."""
        for text in self.carried.values():
            self.ordinals.setdefault(text, len(self.ordinals) + 1)
        return self._make_live(list(self.carried.items()), self.ordinals)

    def texts(self) -> "Named":
        """Give what ids are called; those of the erased nobody knows."""
        space = self.seat.id_spaces[0]
        return Named(
            {
                ordinal: (space, text)
                for text, ordinal in self.ordinals.items()
                if ordinal not in self.erased
            }
        )

    def people(self) -> People:
        """Give people who are one visitor each."""
        return People(
            identity=Identity.LAST_AUTHENTICATED,
            version=1,
            customer_of=np.zeros(VISITORS, dtype=np.uint32),
        )

    def wanted(self) -> set[tuple[str, str]]:
        """Say what the seat should hold, the slow way."""
        denied = {
            text
            for number, text in self.carried.items()
            if number not in self.allowed - self.suppressed
        }
        return {
            (text, each.segment)
            for each in self.activations
            for number, text in self.carried.items()
            if number in self.members[each.audience] and text not in denied
        }

    def content(self) -> set[tuple[str, str]]:
        """Apply the files of every manifest in turn, as the partner would."""
        return set(self.partner())

    def partner(self) -> dict[tuple[str, str], float]:
        """Give the same with the time, in milliseconds, at which the partner forgets each."""
        found: dict[tuple[str, str], float] = {}
        for manifest in sorted(map(read_manifest, self.manifests()), key=lambda each: each.run):
            parts = [part for part in manifest.files if not part.name.endswith(SIDECARS)]
            if self.seat.membership.removal is Removal.REPLACE:
                replaced = {part.segment for part in parts}
                found = {key: until for key, until in found.items() if not replaced & {"", key[1]}}
            data = [plain(self.folder / part.name) for part in parts]
            groups = [Group(part.segment, part.action, part.id_space) for part in parts]
            for row in writer_of(self.seat).read(data, self.seat, groups):
                assert not {name for name, _ in row.adds} & set(row.removes)
                for segment in row.removes:
                    found.pop((row.id, segment), None)
                for segment, minutes in row.adds:
                    until = manifest.at_ms + minutes * MINUTE_MS if minutes else inf
                    found[row.id, segment] = until
        return found

    def held(self) -> set[tuple[str, str]]:
        """Say what the ledger believes the seat to hold."""
        texts = {ordinal: text for text, ordinal in self.ordinals.items()}
        return {
            (texts[ordinal], segment)
            for segment, days in self.store.held(self.seat.key).days.items()
            for ids in days.values()
            for ordinal in ids
        }

    @property
    def folder(self) -> Path:
        """Give the seat's folder."""
        return self.out_dir / self.seat.key

    def manifests(self) -> list[Path]:
        """List the manifests that are visible."""
        return sorted(self.folder.glob("*.manifest.json"))

    def visible(self) -> set[str]:
        """List the data files that a reader of the folder sees."""
        names = {each.name for each in self.folder.glob("*") if each.is_file()}
        return names - {each.name for each in self.manifests()}

    def announced(self) -> set[str]:
        """List the data files that manifests name."""
        return {part.name for path in self.manifests() for part in read_manifest(path).files}

    def _members_of(self, audience: str) -> tuple[People, BitMap] | None:
        members = self.members.get(audience)
        return None if members is None else (self.people(), visitors(members))


class Named:
    """What ids are called, by ordinal: id space and text."""

    def __init__(self, names: Mapping[int, tuple[str, str]]) -> None:
        self._names = names

    def pieces(self, id_space: str, id_ordinals: BitMap) -> Iterator[IdTexts]:
        """Give the texts of one id space one by one, the highest ordinal first."""
        for ordinal in sorted(self._names.keys() & set(id_ordinals), reverse=True):
            space, text = self._names[ordinal]
            if space == id_space:
                yield texts_of({ordinal: text})

    def odd(self, id_space: str, id_ordinals: BitMap) -> Iterator[IdTexts]:
        """Give those that hold more than letters and digits of ASCII."""
        for piece in self.pieces(id_space, id_ordinals):
            if not re.fullmatch("[0-9A-Za-z]*", piece.ids[0].as_py()):
                yield piece

    def named(self, id_spaces: Sequence[str], id_ordinals: BitMap) -> BitMap:
        """Give those that have a text."""
        known = {each for each, (space, _) in self._names.items() if space in id_spaces}
        return BitMap(known) & id_ordinals

    def ordinals_of(self, id_space: str, ids: Sequence[str]) -> BitMap:
        """Give the ordinals of texts."""
        return BitMap(
            each for each, (space, text) in self._names.items() if space == id_space and text in ids
        )


def texts_of(texts: Mapping[int, str]) -> IdTexts:
    """Make a piece of texts by ordinal."""
    return IdTexts(
        id_ordinals=np.array(list(texts), dtype=np.uint32),
        ids=pa.array(list(texts.values()), type=pa.string()),
    )


def live_ids(carried: Sequence[tuple[int, str]], ordinals: Mapping[str, int]) -> LiveIds:
    """Make live ids of (visitor number, id) pairs and the ids' ordinals."""
    rows = sorted(carried, key=lambda row: (row[1], row[0]))
    return LiveIds(
        visitors=np.array([VISITOR_FIRST + number for number, _ in rows], dtype=np.uint32),
        id_ordinals=np.array([ordinals[text] for _, text in rows], dtype=np.uint32),
        ids=[text for _, text in rows],
    )


def id_text(seat: Seat, number: int) -> str:
    """Give an id of the shape that the first id space of a seat wants."""
    match shape_of(seat.id_spaces[0], seat):
        case "":
            return f"id{number}"
        case "uuid_upper":
            return f"{number:08X}-0000-0000-0000-000000000000"
        case "uuid" | "uuid_lower":
            return f"{number:08x}-0000-0000-0000-000000000000"
        case "sha256_hex":
            return f"{number:064x}"
        case "sha256_base64":
            return f"{number:043}="
        case _:
            return str(1000 + number)


def visitors(numbers: set[int]) -> BitMap:
    """Give the ordinals of the visitors of these numbers."""
    return BitMap(VISITOR_FIRST + number for number in numbers)


def plain(path: Path) -> bytes:
    """Read a file without its compression."""
    data = path.read_bytes()
    return zlib.decompress(data, 31) if path.suffix == ".gz" else data


def freeze(world: World, number: int) -> None:
    """Erase a visitor as erasure does: removals first, then the text is gone."""
    world.live()
    text = world.carried.pop(number)
    ordinal = world.ordinals.pop(text)
    for held in world.store.held_ids_of([ordinal]):
        ids = [IdText(id_space=world.seat.id_spaces[0], id=text, id_ordinal=ordinal)]
        world.store.freeze_removals(held.seat, held.segment, ids)
    world.erased.add(ordinal)
    world.ordinals[f"(erased {ordinal})"] = ordinal
