"""Where a request says which key it writes with: Basic auth, query or body.

A request goes in, the key as text goes out; which site it is of, the collector knows.
"""

import base64
from hmac import compare_digest

from service.tag.message_bodies import GivenBatch
from service.tag.request import TagRequest


def key_of(request: TagRequest, batch: GivenBatch) -> str:
    """Give the key of a Segment request; empty when it names none."""
    if request.header("authorization")[:6].lower() == "basic ":
        return basic_key(request)
    if request.fields.get("key"):
        return request.fields["key"]
    named = (each.message.write_key for each in batch.given if each.message)
    return batch.write_key or next((key for key in named if key), "")


def basic_key(request: TagRequest) -> str:
    """Give the key that stands as the user name of Basic auth; empty when there is none."""
    scheme, _, coded = request.header("authorization").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(coded, validate=True).decode().partition(":")[0]
    except ValueError:  # no base64, no ASCII or no UTF-8
        return ""


def same_key(given: str, expected: str) -> bool:
    """Compare a key with a secret one, in a time that tells nothing of it."""
    return compare_digest(given.encode(), expected.encode())
