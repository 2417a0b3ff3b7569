"""What the ids of a space look like when they leave the house.

An id and its space come in, a reason against it comes out, or nothing. The sealed form in which
contacts rest here fits no shape, so that it never leaves.
"""

import re
from collections.abc import Mapping
from typing import Final

from audiences.exports.seat import Seat
from matching.contact_profiles import DIGEST_BYTES, FORM_OF, FORMS, SPACES, ContactForm

UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
SHAPES: Final = {
    "uuid": re.compile(f"(?i:{UUID})"),
    "uuid_upper": re.compile(UUID.replace("a-f", "A-F")),
    "uuid_lower": re.compile(UUID),
    "digits": re.compile("[0-9]+"),
    "int64": re.compile("[0-9]{1,19}"),
    "md5_hex": re.compile("[0-9a-f]{32}"),
    "sha1_hex": re.compile("[0-9a-f]{40}"),
    "sha256_hex": re.compile("[0-9a-f]{64}"),
    "sha256_base64": re.compile("[A-Za-z0-9+/]{43}="),
}
INT64_MAX: Final = 2**63 - 1
LETTERS_KEPT: Final = {"idfa": "upper", "aaid": "lower"}
"""How device ids are kept here; in no other case are two texts sure to be two ids."""
KNOWN: Final = {
    "idfa": "uuid_upper",
    "aaid": "uuid_lower",
    "uid2": "sha256_base64",
    "euid": "sha256_base64",
}
LOWER_TRIM: Final = "lower_trim"
NORMALIZE: Final = frozenset({LOWER_TRIM, "uid2", "google", "meta", "amazon", "liveramp", "criteo"})

FORMS_TAKEN: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("google", "google_hosted", "google_pixel_match"), ("google",)),
    **dict.fromkeys(("amazon", "amazon_eu"), ("amazon",)),
    **dict.fromkeys(("criteo", "criteo_id"), ("criteo", "md5")),
    "liveramp": ("liveramp",),
    "meta": ("meta",),
    "the_trade_desk": ("uid2",),
}
"""The forms of contacts that partners are known to take; of others the seat's word is all."""


def refused_shape(text: str, id_space: str, seat: Seat) -> str:
    """Say why a text cannot be an id of its space, or nothing."""
    shape = shape_of(id_space, seat)
    if not shape:
        return ""
    if not SHAPES[shape].fullmatch(text):
        return f"it is no {shape}, which ids of {id_space} are"
    if shape == "int64" and int(text) > INT64_MAX:
        return "it is larger than 64 bits hold"
    return ""


def shape_of(id_space: str, seat: Seat) -> str:
    """Name the shape of a space's ids, the seat's own word first; empty when any text goes."""
    if own := seat.ids.validate.get(id_space):
        return own
    form = FORM_OF.get(id_space)
    return _shape_of_form(form) if form else KNOWN.get(id_space, "")


def normalization_of(id_space: str) -> str:
    """Name the form in which a space's contacts were hashed; empty when it holds none."""
    if id_space not in FORM_OF:
        return ""
    _, _, name = id_space.partition("_")
    return LOWER_TRIM if name in DIGEST_BYTES else name


def spaces_of_form(normalize: str) -> tuple[str, ...]:
    """Name the id spaces whose contacts were hashed in this form."""
    return tuple(space for space in SPACES if normalize and normalization_of(space) == normalize)


def spaces_taken(partner: str, id_space: str) -> tuple[str, ...]:
    """Name the id spaces of this kind of contact that a partner can read; empty when nobody knows.

    A space whose hashes are made as those of the partner's own form is one of them.
    """
    contact = FORM_OF[id_space].contact
    forms = [form for form in FORMS if form.contact == contact]
    taken = FORMS_TAKEN.get(partner, ())
    made = {_how(form) for form in forms if form.space.partition("_")[2] in taken}
    return tuple(form.space for form in forms if _how(form) in made)


def in_case(text: str, id_space: str, seat: Seat) -> str:
    """Write an id in the case that the partner wants."""
    match seat.ids.case.get(id_space):
        case "upper":
            return text.upper()
        case "lower":
            return text.lower()
        case _:
            return text


def as_kept(text: str, id_space: str) -> str:
    """Undo `in_case`: write an id of a device as it is kept here."""
    return text.upper() if LETTERS_KEPT.get(id_space) == "upper" else text.lower()


def _shape_of_form(form: ContactForm) -> str:
    return f"{form.digest}_{form.encoding}"


def _how(form: ContactForm) -> tuple[object, ...]:
    return form.normal, form.digest, form.encoding
