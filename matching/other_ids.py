"""Ids that need no sync: advertising ids of devices, UID2, EUID and hashed contacts in messages.

A message's bytes come in as the spool keeps them, contacts sealed. Each id comes out with the space
in which it is valid and what became of it. Stores nothing.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from matching.contact_hashes import PREFIX
from matching.contact_profiles import DIGEST_BYTES, FORM_OF, SPACES
from matching.partner_facts import IdRules
from matching.partner_id_rules import IdStatus, check_shape

UUID: Final = r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
BASE64_OF_32_BYTES: Final = r"[A-Za-z0-9+/]{43}="
SEAL_BYTES: Final = 16


def _sealed(digest: str) -> IdRules:
    """Give what a sealed hash looks like: AES-SIV's mark before the hash, in hex."""
    chars = 2 * (SEAL_BYTES + DIGEST_BYTES[digest])
    return IdRules(pattern=rf"[0-9a-f]{{{chars}}}", length_min=chars, length_max=chars)


RULES: Final = {
    "idfa": IdRules(pattern=UUID, length_min=36, length_max=36),
    "aaid": IdRules(pattern=UUID, length_min=36, length_max=36),
    "uid2": IdRules(pattern=BASE64_OF_32_BYTES, length_min=44, length_max=44),
    "euid": IdRules(pattern=BASE64_OF_32_BYTES, length_min=44, length_max=44),
    **{space: _sealed(FORM_OF[space].digest) for space in SPACES},
}
"""What an id of each of these spaces looks like; they are no partner's."""
CONTACT_SPACES: Final = {"email": "email_sha256", "phone": "phone_sha256"}
"""The space of each contact that messages name; of customers there are more: `SPACES`."""
SPACE_OF_TYPE: Final = {
    "uid2": "uid2",
    "euid": "euid",
    "ios.idfa": "idfa",
    "idfa": "idfa",
    "android.idfa": "aaid",
    "aaid": "aaid",
    "gaid": "aaid",
}
"""Types of `context.externalIds`, as Segment's SDKs and UID2's documentation write them."""
IDS_MAX: Final = 16
_CONTACT: Final = PREFIX.encode()


class OtherId(msgspec.Struct, frozen=True, kw_only=True):
    """One id, its space, and whether it is one."""

    id_space: str
    id: str
    status: IdStatus


class _Device(msgspec.Struct, rename="camel"):
    advertising_id: str | None = None
    ad_tracking_enabled: bool | None = None
    type: str | None = None


class _ExternalId(msgspec.Struct):
    id: str | None = None
    type: str | None = None


class _Os(msgspec.Struct):
    name: str | None = None


class _Context(msgspec.Struct, rename="camel"):
    device: _Device | None = None
    external_ids: list[_ExternalId] | None = None
    os: _Os | None = None
    traits: dict[str, Any] | None = None


class _Message(msgspec.Struct):
    context: _Context | None = None
    traits: dict[str, Any] | None = None


_decoder: Final = msgspec.json.Decoder(_Message)


def may_name_ids(message: bytes) -> bool:
    """Tell quickly whether a message is worth reading for ids; False means it names none."""
    return b"advertisingId" in message or b"externalIds" in message or _CONTACT in message


def ids_in(message: bytes) -> list[OtherId]:
    """Give the ids that a message names; one that cannot be read names none."""
    if not may_name_ids(message):
        return []
    try:
        read = _decoder.decode(message)
    except (msgspec.MsgspecError, RecursionError):
        return []
    found = dict.fromkeys(_named(read))
    return [judged(space, text) for space, text in list(found)[:IDS_MAX]]


def judged(id_space: str, text: str) -> OtherId:
    """Write an id as its space wants it, and judge it."""
    if id_space == "idfa":
        text = text.upper()
    elif id_space == "aaid":
        text = text.lower()
    status = check_shape(RULES[id_space], text) if text else IdStatus.EMPTY
    return OtherId(id_space=id_space, id=text if status is IdStatus.OK else "", status=status)


def _named(message: _Message) -> Iterator[tuple[str, str]]:
    context = message.context or _Context()
    yield from _of_device(context)
    for each in context.external_ids or ():
        space = SPACE_OF_TYPE.get((each.type or "").lower())
        if space and each.id:
            yield space, each.id.strip()
    for traits in (message.traits, context.traits):
        yield from _of_contacts(traits or {})


def _of_device(context: _Context) -> Iterator[tuple[str, str]]:
    device = context.device
    # Why False alone: SDKs that cannot tell leave it out, and the system then gives zeros.
    if device is None or not device.advertising_id or device.ad_tracking_enabled is False:
        return
    system = f"{device.type or ''} {context.os.name or '' if context.os else ''}".lower()
    if "android" in system:
        yield "aaid", device.advertising_id.strip()
    elif any(name in system for name in ("ios", "ipad", "tvos", "iphone")):
        yield "idfa", device.advertising_id.strip()


def _of_contacts(traits: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, space in CONTACT_SPACES.items():
        value = traits.get(name)
        if isinstance(value, str) and value.startswith(PREFIX):
            yield space, value.removeprefix(PREFIX)
