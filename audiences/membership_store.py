"""Since when somebody is in an audience, as far as the kept builds tell.

Audiences and a person's ordinals go in, times come out. Large audiences are not asked: their
bitmaps are long to read for one person.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from clickhouse_connect.driver.client import Client

from audiences.sql import sql

BUILDS_READ: Final = 50
MEMBERS_MAX: Final = 200_000


class Since(msgspec.Struct, frozen=True, kw_only=True):
    """The first of the builds in a row that hold a person; older ones may have held it, too."""

    at_ms: int
    or_earlier: bool


class MembershipStore:
    """Questions to the table `builds` about one person."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def since(self, audiences: Sequence[str], persons: Sequence[int]) -> dict[str, Since]:
        """Tell for each audience since when it holds one of these ordinals without a break."""
        if not audiences:
            return {}
        parameters = {
            "audiences": list(audiences),
            "persons": list(persons),
            "size_max": MEMBERS_MAX,
            "limit": BUILDS_READ,
        }
        found: dict[str, Since] = {}
        ended: set[str] = set()
        for key, at_ms, holds in self._client.query(
            sql("member_builds"), parameters=parameters
        ).result_rows:
            if not holds:
                ended.add(key)
                if key in found:
                    found[key] = msgspec.structs.replace(found[key], or_earlier=False)
            elif key not in ended:
                found[key] = Since(at_ms=at_ms, or_earlier=True)
        return found
