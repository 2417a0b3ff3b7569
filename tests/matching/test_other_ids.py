"""Ids that messages name themselves: which are ids, of which space, and how they are written."""

import json
from typing import Any

import pytest

from matching.other_ids import IDS_MAX, RULES, ids_in, judged
from matching.partner_id_rules import IdStatus

UUID = "7a3cbea0-bdf5-11e4-8dfc-aa07a5b093db"
ZEROS = "00000000-0000-0000-0000-000000000000"
UID2 = "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ="
SEALED = "0123456789abcdef" * 6


def device(**more: Any) -> dict[str, Any]:
    """Give a message of a device."""
    return {"context": {"device": {"advertisingId": UUID, **more}}}


Case = tuple[dict[str, Any], list[tuple[str, str, str]]]
CASES: dict[str, Case] = {
    "ios": (device(type="ios"), [("idfa", UUID.upper(), "ok")]),
    "android": (device(type="Android"), [("aaid", UUID, "ok")]),
    "the system says what the device does not": (
        {"context": {"device": {"advertisingId": UUID}, "os": {"name": "iPadOS"}}},
        [("idfa", UUID.upper(), "ok")],
    ),
    "no system": (device(), []),
    "another system": (device(type="roku"), []),
    "tracking forbidden": (device(type="ios", adTrackingEnabled=False), []),
    "tracking allowed": (
        device(type="ios", adTrackingEnabled=True),
        [("idfa", UUID.upper(), "ok")],
    ),
    "zeros": (device(type="ios", advertisingId=ZEROS), [("idfa", "", "sentinel")]),
    "no UUID": (device(type="ios", advertisingId="x" * 36), [("idfa", "", "bad_pattern")]),
    "cut": (device(type="ios", advertisingId=UUID[:-1]), [("idfa", "", "too_short")]),
    "uid2": (
        {"context": {"externalIds": [{"type": "uid2", "id": UID2}]}},
        [("uid2", UID2, "ok")],
    ),
    "uid2's token instead of the id": (
        {"context": {"externalIds": [{"type": "uid2", "id": "A4AAA" * 40}]}},
        [("uid2", "", "too_long")],
    ),
    "euid and a device's id": (
        {
            "context": {
                "externalIds": [
                    {"type": "EUID", "id": UID2},
                    {"type": "android.idfa", "id": UUID.upper()},
                    {"type": "cross_domain_id", "id": "x"},
                    {"type": "uid2"},
                ]
            }
        },
        [("euid", UID2, "ok"), ("aaid", UUID, "ok")],
    ),
    "a hashed address": (
        {"traits": {"email": f"contact:{SEALED}", "phone": f"contact:{SEALED}"}},
        [("email_sha256", SEALED, "ok"), ("phone_sha256", SEALED, "ok")],
    ),
    "a hashed address of the context": (
        {"context": {"traits": {"email": f"contact:{SEALED}"}}},
        [("email_sha256", SEALED, "ok")],
    ),
    "an address that nobody sealed": ({"traits": {"email": "contact:paul@example.com"}}, []),
    "the same id twice": (
        {
            "context": {
                "device": {"advertisingId": UUID, "type": "ios"},
                "externalIds": [{"type": "idfa", "id": UUID}],
            }
        },
        [("idfa", UUID.upper(), "ok")],
    ),
    "nothing": ({"context": {"device": {"type": "ios"}}}, []),
    "other types": ({"context": {"externalIds": "x", "device": {"advertisingId": 7}}}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_a_message_names_ids_by_space(case: str) -> None:
    """Each way of naming an id, and each way of naming none."""
    message, expected = CASES[case]
    if case == "an address that nobody sealed":
        expected = [("email_sha256", "", "too_short")]
    found = ids_in(json.dumps(message).encode())
    assert [(each.id_space, each.id, str(each.status)) for each in found] == expected


@pytest.mark.parametrize("message", [b"", b"advertisingId", b'{"externalIds":', b"[" * 100_000])
def test_what_cannot_be_read_names_nobody(message: bytes) -> None:
    """Broken bytes are no ids and no error."""
    assert ids_in(message) == []


def test_a_message_names_a_bounded_number() -> None:
    """Of a thousand external ids the first few count."""
    many = [{"type": "idfa", "id": f"{number:036d}"} for number in range(1000)]
    found = ids_in(json.dumps({"context": {"externalIds": many}}).encode())
    assert len(found) <= IDS_MAX


@pytest.mark.parametrize("id_space", RULES)
def test_nothing_is_no_id_anywhere(id_space: str) -> None:
    """The empty text is no id of any space."""
    assert judged(id_space, "").status is IdStatus.EMPTY
