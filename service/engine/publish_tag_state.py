"""Publishes what tag processes need to know, atomically, and only when it changed or grows old."""

from pathlib import Path
from typing import Final

import msgspec

from service.config import Config
from service.tag.tag_state import TagState, TagStateFile, write_tag_state

REFRESH_AFTER_S: Final = 15
"""Well below the 60 s at which a tag process reports that its state is old."""


def publish(path: Path, config: Config, *, suppressed: tuple[str, ...], now_s: int) -> TagState:
    """Give the state that now stands in the file."""
    state = TagState(
        published_s=now_s,
        sites=config.sites,
        partners=config.partners,
        suppressed=suppressed,
        vendor_lists=config.vendor_lists,
        callback_base=config.service.public_url,
        trusted_proxies=config.service.trusted_proxies,
    )
    before = TagStateFile(path).refresh()
    same = msgspec.structs.replace(before, published_s=now_s) == state
    if same and now_s - before.published_s < REFRESH_AFTER_S:
        return before
    write_tag_state(path, state)
    return state
