"""The pixel's query as a message: parameters come in, a message's bytes go out.

`event` makes it a tracked event, else it is a page; every parameter that names no field of a
message is a property.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from service.tag.request import gif

PLAIN_PIXEL: Final = gif()
PIXEL_FIELDS: Final = ("event", "name", "messageId", "anonymousId")
_OURS: Final = {"key": False, **dict.fromkeys(PIXEL_FIELDS, True)}
"""The parameters that are no properties, and whether the message has them."""
_encode: Final = msgspec.json.Encoder().encode


def pixel_message(fields: Mapping[str, str]) -> bytes:
    """Write the message of a pixel; its properties come last."""
    message: dict[str, object] = {"type": "track" if fields.get("event") else "page"}
    properties = {}
    for name, value in fields.items():
        ours = _OURS.get(name)
        if ours is None:
            properties[name] = value
        elif ours and value:
            message[name] = value
    message["properties"] = properties
    return _encode(message)
