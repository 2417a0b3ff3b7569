"""The forms in which partners want addresses, numbers and names hashed: one row a partner's form.

A contact as the CRM wrote it comes in; out come the digests that differ from one another, by id
space. Stores nothing and seals nothing; what a seat finds sealed, `open_form` opens.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import md5, sha1, sha256
from typing import Any, Final

import msgspec

from matching.calling_codes import national_digits
from matching.contact_hashes import normalise_email, open_sealed

UNKNOWN: Final = "-"
"""Stands for a form that cannot be had: from a ready hash no other form can be made."""

EMAIL, PHONE, NAME, TEXT = "email", "phone", "name", "text"
DIGEST_BYTES: Final = {"md5": 16, "sha1": 20, "sha256": 32}
GMAIL: Final = "gmail.com"
GOOGLE_DOMAINS: Final = frozenset({GMAIL, "googlemail.com"})
_NOT_OF_AMAZON: Final = re.compile(r"[^a-z0-9.@-]")
_NOT_OF_AMAZON_NAMES: Final = re.compile(r"[^a-z0-9]")

Normal = Callable[[str], str | None]
OpenAll = Callable[[Sequence[str]], list[bytes]]
"""Opens many sealed hashes of one length: `Opener.open_all` with the installation's key."""


class ContactForm(msgspec.Struct, frozen=True, kw_only=True):
    """One id space: how a contact is written before it is hashed, and which hash.

    `otherwise` names the space whose digest stands for this one too where no own digest is kept.
    """

    space: str
    contact: str
    normal: Normal
    digest: str = "sha256"
    encoding: str = "hex"
    otherwise: str = ""
    may_differ: Callable[[str], object] | None = None
    """Tells quickly whether `normal` may change a contact; without it any may be changed."""
    unverified: bool = False
    """Only one integration writes it so; ask the partner before it is used."""


def _lower_trim(email: str) -> str:
    return email


def _is_gmail(email: str) -> bool:
    return email.endswith(("@gmail.com", "@googlemail.com"))


def _uid2_email(email: str) -> str:
    local, _, domain = email.rpartition("@")
    if domain != GMAIL:
        return email
    return f"{local.partition('+')[0].replace('.', '')}@{domain}"


def _google_email(email: str) -> str:
    local, _, domain = email.rpartition("@")
    return f"{local.replace('.', '')}@{domain}" if domain in GOOGLE_DOMAINS else email


def _amazon_email(email: str) -> str:
    return _NOT_OF_AMAZON.sub("", email)


def _digits_of_phone(phone: str) -> str:
    return phone.removeprefix("+")


def _liveramp_phone(phone: str) -> str | None:
    digits = national_digits(phone)
    return digits if digits is not None and len(digits) == _LIVERAMP_DIGITS else None


def _google_name(name: str) -> str:
    return "".join(name.split())


def _amazon_name(name: str) -> str | None:
    return _NOT_OF_AMAZON_NAMES.sub("", name) or None


_LIVERAMP_DIGITS: Final = 10

EMAIL_BASE: Final = "email_sha256"
PHONE_BASE: Final = "phone_sha256"

FORMS: Final = (
    # Addresses, trimmed and in lower case.
    ContactForm(space=EMAIL_BASE, contact=EMAIL, normal=_lower_trim),
    ContactForm(
        space="email_uid2",
        contact=EMAIL,
        normal=_uid2_email,
        encoding="base64",
        otherwise=EMAIL_BASE,
        may_differ=_is_gmail,
    ),
    ContactForm(
        space="email_google",
        contact=EMAIL,
        normal=_google_email,
        otherwise="email_uid2",
        may_differ=_is_gmail,
    ),
    ContactForm(
        space="email_amazon",
        contact=EMAIL,
        normal=_amazon_email,
        otherwise=EMAIL_BASE,
        may_differ=_NOT_OF_AMAZON.search,
    ),
    ContactForm(space="email_meta", contact=EMAIL, normal=_lower_trim, otherwise=EMAIL_BASE),
    ContactForm(space="email_liveramp", contact=EMAIL, normal=_lower_trim, otherwise=EMAIL_BASE),
    ContactForm(space="email_criteo", contact=EMAIL, normal=_lower_trim, otherwise=EMAIL_BASE),
    ContactForm(space="email_md5", contact=EMAIL, normal=_lower_trim, digest="md5"),
    # Numbers, as E.164.
    ContactForm(space=PHONE_BASE, contact=PHONE, normal=_lower_trim),
    ContactForm(
        space="phone_uid2",
        contact=PHONE,
        normal=_lower_trim,
        encoding="base64",
        otherwise=PHONE_BASE,
    ),
    ContactForm(space="phone_google", contact=PHONE, normal=_lower_trim, otherwise=PHONE_BASE),
    ContactForm(space="phone_meta", contact=PHONE, normal=_digits_of_phone),
    ContactForm(
        space="phone_amazon", contact=PHONE, normal=_digits_of_phone, otherwise="phone_meta"
    ),
    ContactForm(
        space="phone_liveramp",
        contact=PHONE,
        normal=_liveramp_phone,
        digest="sha1",
        unverified=True,
    ),
    # First and last names, trimmed and in lower case: parts of an address, no ids by themselves.
    ContactForm(space="name_sha256", contact=NAME, normal=_lower_trim),
    ContactForm(space="name_google", contact=NAME, normal=_google_name, otherwise="name_sha256"),
    ContactForm(space="name_amazon", contact=NAME, normal=_amazon_name, otherwise="name_sha256"),
)
FORM_OF: Final = {form.space: form for form in FORMS}
BASES: Final = {EMAIL: EMAIL_BASE, PHONE: PHONE_BASE, NAME: "name_sha256"}
SPACES: Final = tuple(form.space for form in FORMS if form.contact in (EMAIL, PHONE))
"""The id spaces that a seat may ask for."""

_HASHES: Final[dict[str, Callable[[bytes], Any]]] = {
    "md5": partial(md5, usedforsecurity=False),
    "sha1": partial(sha1, usedforsecurity=False),
    "sha256": sha256,
}


def _own_forms(contact: str) -> tuple[ContactForm, ...]:
    """Give the forms that may differ from the one that stands for them."""
    found = []
    for form in FORMS:
        other = FORM_OF.get(form.otherwise)
        same = other is not None and (form.normal, form.digest) == (other.normal, other.digest)
        if form.contact == contact and not same:
            found.append(form)
    return tuple(found)


OWN_FORMS: Final = {contact: _own_forms(contact) for contact in (EMAIL, PHONE, NAME)}
"""The forms that are worth computing: the others always coincide with one of these."""


class Hashed(msgspec.Struct, frozen=True, kw_only=True):
    """The digests of one form: of which contacts, by place, and what they are."""

    space: str
    places: list[int]
    digests: list[bytes]


def hashes_of(contact: str, normals: Sequence[str | None]) -> list[Hashed]:
    """Hash normalised contacts in every form; what coincides with its stand-in is left out.

    A form that a contact has not, though its stand-in would answer, is the empty digest.
    """
    there = [place for place, each in enumerate(normals) if each is not None]
    found: list[Hashed] = []
    other: dict[str, dict[int, str | None]] = {}
    for form in OWN_FORMS[contact]:
        texts = _texts_of(form, normals, there)
        other[form.space] = texts if form.may_differ else {}
        if form.otherwise:
            stand_ins = other[form.otherwise]
            texts = {
                place: text
                for place, text in texts.items()
                if text != stand_ins.get(place, normals[place])
            }
        places = [place for place, text in texts.items() if text is not None or form.otherwise]
        if places:
            digests = _digests(form.digest, [texts[place] for place in places])
            found.append(Hashed(space=form.space, places=places, digests=digests))
    return found


def digests_of(contact: str, normal: str) -> dict[str, bytes]:
    """Do the same for one contact, by id space."""
    return {each.space: each.digests[0] for each in hashes_of(contact, [normal])}


def _texts_of(
    form: ContactForm, normals: Sequence[str | None], there: Sequence[int]
) -> dict[int, str | None]:
    """Write contacts in a form; those that it surely leaves as they are are left out."""
    if form.normal is _lower_trim:
        return {place: normals[place] for place in there}
    some = [(place, text) for place in there if (text := normals[place]) is not None]
    if form.may_differ is not None:
        may_differ = form.may_differ
        some = [(place, text) for place, text in some if may_differ(text)]
    return {place: form.normal(text) for place, text in some}


def _digests(digest: str, texts: Sequence[str | None]) -> list[bytes]:
    hashed = _HASHES[digest]
    return [
        b"" if text is None else hashed(text.encode(errors="surrogatepass")).digest()
        for text in texts
    ]


def standing_for(space: str) -> tuple[str, ...]:
    """Give the spaces to look in for a form, the form's own first."""
    chain = [space]
    while other := FORM_OF[chain[-1]].otherwise:
        chain.append(other)
    return tuple(chain)


def ready_hash(space: str, text: str) -> bytes:
    """Read a hash that was made elsewhere in this very form; raise ValueError when it is none."""
    form = FORM_OF[space]
    size = DIGEST_BYTES[form.digest]
    text = text.strip()
    if len(text) == 2 * size:
        return bytes.fromhex(text)
    raise ValueError(f"a text of {len(text)} characters, not a {form.digest} in hex")


def unknown_from(space: str) -> tuple[str, ...]:
    """Give the forms that a ready hash of this form would wrongly stand for."""
    form = FORM_OF[space]
    return tuple(
        each.space
        for each in OWN_FORMS[form.contact]
        if each.space != space and each.otherwise == space
    )


def normal_email(text: str) -> str | None:
    """Give an address as every form begins with it."""
    return normalise_email(text)


def normal_name(text: str) -> str | None:
    """Trim and lower-case a name; None when nothing is left."""
    return " ".join(text.lower().split()) or None


def open_form(space: str, sealed: str, key: bytes) -> str:
    """Give what a seat's partner is sent for a sealed digest of this space."""
    digest = open_sealed(sealed, key)
    if FORM_OF[space].encoding == "base64":
        return b64encode(bytes.fromhex(digest)).decode()
    return digest


def open_forms(space: str, sealed: Sequence[str], open_all: OpenAll) -> list[str]:
    """Do the same for many of one space, opened at once."""
    if FORM_OF[space].encoding == "base64":
        return [b64encode(each).decode() for each in open_all(sealed)]
    return [each.hex() for each in open_all(sealed)]
