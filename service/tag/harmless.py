"""Tells at a glance that a message is good JSON with short names, no contact, token or partner id.

A message and its bytes come in; True is certain, False leaves all of it open. What repeats from
message to message (properties, traits, context) is judged once and remembered.
"""

import re
from functools import lru_cache
from typing import Final

import msgspec

from matching.contact_hashes import may_hold_contact
from matching.other_ids import may_name_ids
from service.tag.messages import Message, read_context
from service.tag.strict_json import json_fault

REMEMBERED_BYTES_MAX: Final = 1024
REMEMBERED_PARTS_MAX: Final = 16_384
LEVELS_MAX: Final = 16
"""Deeper parts are left to the judgement of the whole message."""
NAME_LENGTH_MAX: Final = 100
_NAME: Final = re.compile(r"(?!00[1-9])(?:jr\.)?[0-9A-Za-z_-]{1,100}|[A-Za-z][A-Za-z _-]{0,99}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{3})?Z")

_is_plain: Final = _NAME.fullmatch
_encoder: Final = msgspec.json.Encoder()


def is_plain_name(name: str) -> bool:
    """Tell a short name in which neither a contact nor a token can hide."""
    # Why twice: most are hexadecimal, and letters and digits alone are told much sooner.
    if name.isalnum() and name.isascii() and name[:2] != "00":
        return len(name) <= NAME_LENGTH_MAX
    return _is_plain(name) is not None


def is_harmless(message: Message, raw: bytes) -> bool:
    """Tell whether a message that was read from these bytes is certainly good and clean.

    Written again without blanks, escapes and unknown or repeated keys, a message is never longer
    than it came; so one of equal length has none of these outside the parts that were judged.
    """
    for part in (message.properties, message.traits):
        if part and not is_harmless_part(bytes(part)):
            return False
    if message.raw_context and not is_harmless_context(bytes(message.raw_context)):
        return False
    for name in (
        message.given_id,
        message.user_id,
        message.anonymous_id,
        message.given_event,
        message.write_key,
        # Why texts alone: these may be numbers, which may become longer when written again.
        message.name,
        message.category,
        message.group_id,
        message.previous_id,
    ):
        if name and not (isinstance(name, str) and is_plain_name(name)):
            return False
    for time in (message.timestamp, message.sent_at):
        if time is not None and not _TIME.fullmatch(time):
            return False
    return len(_encoder.encode(message)) == len(raw)


def may_hold_token(raw: bytes) -> bool:
    """Tell quickly whether bytes could hold a JWT or the token of a newsletter link."""
    return b"eyJ" in raw or b"/c/" in raw


def _judge(raw: bytes) -> bool:
    return (
        raw[:1] == b"{"
        and raw.count(b"{") + raw.count(b"[") <= LEVELS_MAX
        and not json_fault(raw)
        and not may_hold_contact(raw)
        and not may_hold_token(raw)
        and not may_name_ids(raw)
    )


def _judge_context(raw: bytes) -> bool:
    try:
        context = read_context(raw)
    except (msgspec.MsgspecError, ValueError):
        return False
    return context is not None and not context.token and _judge(raw)


_known: Final = lru_cache(maxsize=REMEMBERED_PARTS_MAX)(_judge)
_known_context: Final = lru_cache(maxsize=REMEMBERED_PARTS_MAX)(_judge_context)


def is_harmless_part(raw: bytes) -> bool:
    """Judge an object that stands in a message."""
    return _known(raw) if len(raw) <= REMEMBERED_BYTES_MAX else _judge(raw)


def is_harmless_context(raw: bytes) -> bool:
    """Judge a `context`, which must be readable too."""
    return _known_context(raw) if len(raw) <= REMEMBERED_BYTES_MAX else _judge_context(raw)
