"""The checks that a seat's own values must pass before it is used, whatever its format.

In comes a decoded `Seat`, out come messages, each naming the key at fault and what is allowed.
Types and unknown keys are the decoder's work; nothing here reads files.
"""

import re
import string
from typing import Final, Literal

import msgspec

from audiences.exports.format_checks import problems_of_format
from audiences.exports.id_shapes import (
    LETTERS_KEPT,
    NORMALIZE,
    SHAPES,
    normalization_of,
    shape_of,
    spaces_of_form,
    spaces_taken,
)
from audiences.exports.seat import MINUTES_PER_DAY, Ids, Mode, Removal, Seat, Unit
from matching.contact_profiles import SPACES

IN_A_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
KEY: Final = re.compile(r"[a-z0-9][a-z0-9_]*")
ACTIONS: Final[tuple[Literal["add", "remove"], ...]] = ("add", "remove")
NAME_PARTS: Final = frozenset(
    {
        *("seat", "partner", "account", "run", "part", "split", "mode", "date", "epoch_s"),
        *("segment", "action", "id_space"),
    }
)


def problems_of(seat: Seat) -> list[str]:
    """List what is wrong with a seat; an empty list means that it can be used."""
    return [
        *_of_seat(seat),
        *_of_ids(seat),
        *_of_file(seat),
        *_of_groups(seat),
        *_of_expiry(seat),
        *_of_mode(seat),
        *problems_of_format(seat),
    ]


def _of_seat(seat: Seat) -> list[str]:
    problems = []
    if not KEY.fullmatch(seat.key):
        problems.append(f"`key` is {seat.key!r}; use lower-case letters, digits and _")
    if not seat.id_spaces:
        problems.append("`id_spaces` is empty; name at least one id space")
    if len(set(seat.id_spaces)) != len(seat.id_spaces):
        problems.append(f"`id_spaces` names one twice: {', '.join(seat.id_spaces)}")
    if seat.min_size < 0:
        problems.append(f"`min_size` is {seat.min_size}; it must not be negative")
    if seat.min_size < seat.partner_min_size:
        problems.append(
            f"`min_size` is {seat.min_size}, fewer than the {seat.partner_min_size} that the "
            "partner takes (`partner_min_size`)"
        )
    if seat.lives_days < 1:
        problems.append(f"`lives_days` is {seat.lives_days}; it must be at least 1")
    if not all(each.strip() for each in seat.unverified):
        problems.append("`unverified` holds an empty text; say what must be asked")
    return problems


def _of_ids(seat: Seat) -> list[str]:
    """Check that every id space is one whose ids the partner can read."""
    ids = seat.ids
    problems = [
        f"`ids.{key}.{id_space}` is not among `id_spaces`"
        for key, named in (("case", ids.case), ("validate", ids.validate))
        for id_space in named
        if id_space not in seat.id_spaces
    ]
    problems += [
        f"`ids.case.{id_space}` must not be set: only {', '.join(LETTERS_KEPT)} have one case here"
        for id_space in ids.case
        if id_space not in LETTERS_KEPT
    ]
    problems += [
        f"`ids.validate.{id_space}` is {shape!r}; known are {', '.join(SHAPES)}"
        for id_space, shape in ids.validate.items()
        if shape not in SHAPES
    ]
    if ids.normalize and ids.normalize not in NORMALIZE:
        known = ", ".join(sorted(NORMALIZE))
        problems.append(f"`ids.normalize` is {ids.normalize!r}; known are {known}")
    for id_space in seat.id_spaces:
        problems += _of_contacts(id_space, seat)
    return problems


def _of_contacts(id_space: str, seat: Seat) -> list[str]:
    """Check that contacts of this space are hashed in a form that the partner can read."""
    hashed, ids = normalization_of(id_space), seat.ids
    if not hashed:
        return []
    if id_space not in SPACES:
        return [f"`id_spaces` holds {id_space}, a part of an address and no id by itself"]
    problems = []
    if hashed != ids.normalize:
        known = ", ".join(spaces_of_form(ids.normalize)) or "no contacts"
        problems.append(
            f"seat {seat.key}: `id_spaces` holds {id_space}, hashed in the form {hashed!r}, but "
            f"`ids.normalize` is {ids.normalize!r}, which allows {known}; one form's hashes mean "
            "nothing in another"
        )
    taken = spaces_taken(seat.partner, id_space)
    if taken and id_space not in taken:
        problems.append(
            f"seat {seat.key}: `id_spaces` holds {id_space}, hashed in the form {hashed!r}, which "
            f"{seat.partner} cannot read; use {' or '.join(taken)}"
        )
    shape = ids.validate.get(id_space)
    if shape is not None and shape != _own_shape(id_space, seat):
        problems.append(f"`ids.validate.{id_space}` is not what this form's hashes look like")
    return problems


def _own_shape(id_space: str, seat: Seat) -> str:
    return shape_of(id_space, msgspec.structs.replace(seat, ids=Ids()))


def _of_file(seat: Seat) -> list[str]:
    file = seat.file
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(file.name) if name is not None}
    except ValueError as error:
        return [f"`file.name` cannot be read: {error}"]
    problems = []
    if unknown := sorted(used - NAME_PARTS):
        known = ", ".join(sorted(NAME_PARTS))
        problems.append(f"`file.name` uses {', '.join(unknown)}; known are {known}")
    if not (used & {"run", "epoch_s"} and used & {"part", "split"}):
        problems.append(
            "`file.name` must hold {run} and {part} (or {epoch_s} and {split}), or files overwrite "
            "each other"
        )
    if "/" in file.name or file.name.startswith("."):
        problems.append(f"`file.name` is {file.name!r}; it must be a plain, visible file name")
    problems += [
        f"`file.{name}` is {getattr(file, name)}; it must not be negative (0 = no limit)"
        for name in ("max_rows", "max_bytes", "max_items")
        if getattr(file, name) < 0
    ]
    return problems


def _of_groups(seat: Seat) -> list[str]:
    """Check that files which are open at once have different names."""
    file, membership = seat.file, seat.membership
    used = _named_in(file.name)
    problems = [
        f"`file.per` has {each}, so `file.name` must hold {{{each}}}, or files overwrite each other"
        for each in file.per
        if each not in used
    ]
    problems += [
        f"`file.name` has {{{each}}}, but `file.per` does not have {each}"
        for each in ("segment", "action", "id_space")
        if each in used and each not in file.per
    ]
    said_names = [*file.mode_names.values(), *file.action_names.values()]
    said_names += [*file.id_space_names.values()]
    said_names += [getattr(seat, each) for each in ("partner", "account") if each in used]
    problems += [
        f"{each!r} stands in `file.name`, so it may hold only letters, digits, . _ and -"
        for each in said_names
        if not IN_A_NAME.fullmatch(each)
    ]
    said: dict[str, list[str]] = {
        "mode_names": [file.mode_names.get(each, each) for each in (Mode.DELTA, Mode.FULL)],
        "action_names": [file.action_names.get(each, each) for each in ACTIONS],
        "id_space_names": [file.id_space_names.get(each, each) for each in set(seat.id_spaces)],
    }
    problems += [
        f"`file.{key}` gives two things the same name"
        for key, names in said.items()
        if len(set(names)) != len(names)
    ]
    if stray := sorted(set(file.id_space_names) - set(seat.id_spaces)):
        problems.append(f"`file.id_space_names` has {', '.join(stray)}, not among `id_spaces`")
    if file.control_root and not _named_in(file.control_root) <= used - {
        "part",
        "split",
        "segment",
    }:
        problems.append("`file.control_root` must hold nothing but what `file.name` holds")
    if membership.removal is Removal.FILE and "action" not in file.per:
        problems.append('`membership.removal` by "file" needs action among `file.per`')
    if file.skip_empty and membership.removal is Removal.REPLACE and "segment" not in file.per:
        problems.append("`file.skip_empty` would keep who left on a seat that is replaced whole")
    return problems


def _named_in(template: str) -> set[str]:
    try:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError:
        return set()


def _of_expiry(seat: Seat) -> list[str]:
    membership, expiry = seat.membership, seat.membership.expiry
    if expiry.unit is Unit.NONE:
        if membership.refresh_before_days or expiry.max or expiry.default:
            return ["`membership.expiry` has no unit, so `max`, `default` and refresh must be 0"]
        return []
    day = MINUTES_PER_DAY if expiry.unit is Unit.MINUTES else 1
    problems = []
    if not day <= expiry.default <= expiry.max:
        problems.append(
            f"`membership.expiry.default` is {expiry.default} {expiry.unit}; it must lie between "
            f"one day ({day}) and `max` ({expiry.max})"
        )
    if not 0 <= membership.refresh_before_days < max(1, expiry.default // day):
        problems.append(
            f"`membership.refresh_before_days` is {membership.refresh_before_days}; it must be "
            f"less than the default lifetime of {expiry.default // day} days"
        )
    return problems


def _of_mode(seat: Seat) -> list[str]:
    membership = seat.membership
    if membership.removal is Removal.REPLACE and membership.mode is not Mode.FULL:
        return [f'`membership.mode` is "{membership.mode}"; removal by replacing needs "full"']
    if membership.sentinel is not None and membership.removal is not Removal.SENTINEL:
        return ['`membership.sentinel` is set, but `membership.removal` is not "sentinel"']
    if membership.sentinel is not None and 1 <= membership.sentinel <= membership.expiry.max:
        said = f"`membership.sentinel` is {membership.sentinel}, which is a lifetime too"
        return [f"{said}: it must lie outside 1..{membership.expiry.max}"]
    return []
