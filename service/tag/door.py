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
        return self.cookie_in(request.header("cookie"), site, now_s=request.now_s)

    def cookie_in(
        self, header: str, site: Site, *, now_s: int
    ) -> visitor_cookie.VisitorCookie | None:
        """Give the visitor that a `Cookie` header names, if it is one of ours."""
        for value in visitor_cookie.find_cookies(header, site.cookie.name):
            found = visitor_cookie.read_cookie(self.keys, value, now_s=now_s)
            if found is not None:
                return found
        return None

    def is_opted_out(self, request: TagRequest) -> bool:
        """Tell whether the browser carries our opt-out cookie."""
        return self.is_opted_out_in(request.header("cookie"))

    def is_opted_out_in(self, header: str) -> bool:
        """Tell whether a `Cookie` header holds our opt-out cookie."""
        values = visitor_cookie.find_cookies(header, OPT_OUT_COOKIE)
        return any(visitor_cookie.is_opted_out(self.keys, each) for each in values)

    def is_suppressed(self, kind: str, name: bytes) -> bool:
        """Tell whether a visitor or customer must never be kept again."""
        hashed = self.keys.keyed_hash(SUPPRESSED_PURPOSE, kind.encode(), name).hex()
        return hashed in self.state.suppressed_hashes
