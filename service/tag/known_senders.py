"""Who asks with a known head: found once, and told from one browser for the next behind a proxy.

A known head comes in; a sender whose messages may be judged at a glance goes out, or None: then the
request takes the long way, which finds out who it is.
"""

from service.tag.door import Door
from service.tag.known_heads import KnownHead
from service.tag.request import behind_proxies
from service.tag.sender import Sender, sender_like


def sender_at(door: Door, known: KnownHead, *, now_s: int) -> Sender | None:
    """Give the sender of a beacon with this head."""
    state, caller, query = door.state, known.head.caller, known.head.query
    found: Sender | None = caller.memory.get(query)
    alike = known.alike
    if found is None and alike is not None and alike.state is state:
        found = sender_like(door, alike, caller.headers["cookie"], now_s=now_s)
        caller.memory[query] = found
    if found is None or found.state is not state or not found.is_common:
        return None
    known.sender = found
    return found


def pixel_sender_at(door: Door, known: KnownHead, key: str) -> Sender | None:
    """Give the sender of a pixel with this head and write key."""
    site = door.state.site_of_write_key.get(key)
    if site is None:
        return None
    found: Sender | None = behind_proxies(known.head.caller).memory.get((site.key, False))
    if found is None or found.state is not door.state or not found.is_common:
        return None
    known.sender = found
    return found
