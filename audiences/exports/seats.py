"""The seats of a configuration folder, decoded and checked before anything is sent to them.

In comes `config_dir`, out come `Seat` values ordered by key, or every error of every file at once.
Nothing here knows people, ids or bytes.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from audiences.exports.seat import File, Ids, Label, Membership, Removal, Seat
from audiences.exports.seat_checks import problems_of
from audiences.exports.seat_formats import Delimited, Format
from matching.contact_profiles import FORM_OF

__all__ = ["Seat", "SeatErrors", "load_seats", "read_seats", "seat_questions"]

SECTIONS: Final[dict[str, Any]] = {
    "format": Format,
    "membership": Membership,
    "file": File,
    "ids": Ids,
    "label": Label,
}


class SeatErrors(Exception):
    """The seat files cannot be used; `errors` holds one "path: message" for each fault."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def load_seats(config_dir: Path) -> list[Seat]:
    """Read and check every file of `config_dir/seats/`."""
    return read_seats(config_dir / "seats")


def read_seats(folder: Path) -> list[Seat]:
    """Read and check every seat file of a folder."""
    seats: list[Seat] = []
    errors: list[str] = []
    for path in sorted(folder.glob("*.toml")):
        seat, problems = _decode(path)
        errors += [f"{path}: {problem}" for problem in problems]
        if seat is not None:
            seats.append(seat)
    if errors:
        raise SeatErrors(errors)
    return seats


def seat_questions(seats: Iterable[Seat]) -> list[str]:
    """Say what no document of a seat's partner vouches for, a line for each question."""
    questions = []
    for seat in seats:
        said = [*seat.unverified]
        if seat.label is not None:
            said.append("label: the names of its fields are known from one integration alone")
        if isinstance(seat.format, Delimited) and seat.membership.removal is Removal.SECTION:
            said.append("membership.removal: only one integration writes lines that just remove")
        said += [
            f"id_spaces: only one integration writes {id_space} so"
            for id_space in seat.id_spaces
            if id_space in FORM_OF and FORM_OF[id_space].unverified
        ]
        questions += [f"seat {seat.key}: ask {seat.partner} about {each}" for each in said]
    return questions


def _decode(path: Path) -> tuple[Seat | None, list[str]]:
    try:
        data = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
        seat = msgspec.convert(data, Seat)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        return None, _every_fault(path, str(error))
    problems = problems_of(seat)
    if seat.key != path.stem:
        problems.append(f"`key` is {seat.key!r} but must be the file's name, {path.stem!r}")
    return seat, problems


def _every_fault(path: Path, first: str) -> list[str]:
    """Decode each section alone, since a decoder stops at the first fault it meets."""
    try:
        data = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError:
        return [first]
    faults = []
    for name, section in SECTIONS.items():
        if name not in data:
            continue
        try:
            msgspec.convert(data[name], section)
        except msgspec.ValidationError as error:
            faults.append(_under(name, str(error)))
    if first not in faults:
        faults.insert(0, first)
    return faults


def _under(section: str, fault: str) -> str:
    """Put the section's name into the place that the decoder names."""
    message, found, place = fault.partition(" - at `$")
    return f"{message} - at `$.{section}{place}" if found else f"{message} - at `$.{section}`"
