"""What every decision at the tag endpoint looks at: the published state, the keys, the cookies.

Answers questions about one request; decides and writes nothing.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from matching.contact_hashes import Seal, redact_text, seal
from service.tag import visitor_cookie
from service.tag.request import TagRequest
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys

AGENTS_REMEMBERED_MAX: Final = 8192
OPT_OUT_COOKIE: Final = "jml_out"
SUPPRESSED_PURPOSE: Final = "tombstone"


class Door:
    """The state and the keys of one tag process."""

    def __init__(self, *, state: Callable[[], TagState], keys: Keys) -> None:
        self._state = state
        self.keys = keys
        contact_key = keys.contact_key
        self.seal: Seal = lambda hash_hex: seal(hash_hex, contact_key)
        self.redacted = lru_cache(maxsize=AGENTS_REMEMBERED_MAX)(self._redacted)
        """Give an agent's name without contacts; browsers share few names."""

    @property
    def state(self) -> TagState:
        """The newest published state."""
        return self._state()

    def _redacted(self, agent: str) -> str:
        return redact_text(agent, self.seal)

    def cookie_of(self, request: TagRequest, site: Site) -> visitor_cookie.VisitorCookie | None:
        """Give the visitor that the request's cookie names, if it is one of ours."""
        values = visitor_cookie.find_cookies(request.header("cookie"), site.cookie.name)
        read = (visitor_cookie.read_cookie(self.keys, each, now_s=request.now_s) for each in values)
        return next((each for each in read if each is not None), None)

    def is_opted_out(self, request: TagRequest) -> bool:
        """Tell whether the browser carries our opt-out cookie."""
        values = visitor_cookie.find_cookies(request.header("cookie"), OPT_OUT_COOKIE)
        return any(visitor_cookie.is_opted_out(self.keys, each) for each in values)

    def is_suppressed(self, kind: str, name: bytes) -> bool:
        """Tell whether a visitor or customer must never be kept again."""
        hashed = self.keys.keyed_hash(SUPPRESSED_PURPOSE, kind.encode(), name).hex()
        return hashed in self.state.suppressed_hashes
