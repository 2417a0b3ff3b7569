"""The pixel's query as a message: parameters come in, a message's bytes go out.

`event` makes it a tracked event, else it is a page; every parameter that names no field of a
message is a property.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from service.tag.request import gif

PLAIN_PIXEL: Final = gif()
_FIELDS: Final = frozenset({"event", "name", "messageId", "anonymousId"})
_OURS: Final = _FIELDS | {"key"}
_encode: Final = msgspec.json.Encoder().encode


def pixel_message(fields: Mapping[str, str]) -> bytes:
    """Write the message of a pixel."""
    message: dict[str, object] = {"type": "track" if fields.get("event") else "page"}
    properties = {}
    for name, value in fields.items():
        if name not in _OURS:
            properties[name] = value
        elif value and name in _FIELDS:
            message[name] = value
    message["properties"] = properties
    return _encode(message)
