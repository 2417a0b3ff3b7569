"""What a tag process knows of the rest: one file that the engine replaces atomically.

Sites and their keys, the partners to sync with, who is suppressed and the vendor lists; re-read
when it changes. Nothing here opens a database.
"""

import os
import time
from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from matching.consent.decide import Decision, PartnerConsent, Signals, Use, decide
from matching.consent.site_default import SiteDefault
from matching.consent.vendor_list import VendorList
from matching.partner_facts import Partner
from service.metrics import count_decision
from service.tag.visitor_cookie import CookieSettings

STALE_AFTER_S: Final = 60
OTHER_COOKIES: Final = frozenset({"jml_out", "jml_sync"})
Networks = tuple[IPv4Network | IPv6Network, ...]


class SyncSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of its pages a site gives to the sync with partners."""

    page_limit: Annotated[int, msgspec.Meta(ge=0, le=8)] = 5
    """Partners that one page may meet; 0 leaves all syncs to other ways."""
    iframes: bool = True
    """Whether frames are allowed where a partner has no image."""
    excluded_paths: tuple[str, ...] = ()
    """Pages that meet nobody, by the beginnings of their paths, such as /checkout."""

    def __post_init__(self) -> None:
        """Refuse what no path begins with."""
        for path in self.excluded_paths:
            if not path.startswith("/"):
                raise ValueError(f"sync.excluded_paths holds {path!r}; a path begins with /")


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One site that carries the tag (`config/sites/*.toml`); secrets by environment variable."""

    key: str
    write_key: str
    origins: tuple[str, ...] = ()
    server_key_env: str = ""
    identify_secret_env: str = ""
    identify: Literal["proved", "open"] = "proved"
    consent_default: SiteDefault = "deny"
    """For visitors who said nothing: one answer for all, or one by country."""
    country_header: str = ""
    """Which header of a trusted proxy says where a visitor is; unknown is as in the EEA."""
    currency: str = "EUR"
    rate_max: Annotated[float, msgspec.Meta(ge=0)] = 0
    """Messages a second that each tag process takes with the write key, and as many with the
    server key; 0 is no limit."""
    cookie: CookieSettings = CookieSettings()
    sync: SyncSettings = SyncSettings()
    anonymous: bool = False
    """Whether page views and events are counted without name, cookie and storage while a visitor
    has not answered; which law allows it is for the site to know."""

    def __post_init__(self) -> None:
        """Keep the visitor cookie apart from the service's other ones."""
        if self.cookie.name in OTHER_COOKIES:
            raise ValueError(f"cookie.name {self.cookie.name!r} is taken by another of our cookies")

    @property
    def server_key(self) -> str:
        """The secret by which the site's servers write; empty when none is set."""
        return os.environ.get(self.server_key_env, "") if self.server_key_env else ""

    @property
    def identify_secret(self) -> str:
        """The secret of the site's identify tokens; empty when none is set."""
        return os.environ.get(self.identify_secret_env, "") if self.identify_secret_env else ""


class TagState(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One published state."""

    published_s: int
    sites: tuple[Site, ...]
    partners: tuple[Partner, ...] = ()
    suppressed: tuple[str, ...] = ()
    vendor_lists: dict[int, VendorList] = {}
    callback_base: str = ""
    trusted_proxies: tuple[str, ...] = ()

    @cached_property
    def proxy_networks(self) -> Networks:
        """The networks whose word on addresses and schemes counts."""
        return tuple(ip_network(text, strict=False) for text in self.trusted_proxies)

    @cached_property
    def site_of_write_key(self) -> Mapping[str, Site]:
        """Sites by their public write key."""
        return {site.write_key: site for site in self.sites}

    @cached_property
    def suppressed_hashes(self) -> frozenset[str]:
        """Keyed hashes of the visitors and customers of whom nothing may be kept."""
        return frozenset(self.suppressed)

    @cached_property
    def heard(self) -> dict[Any, Any]:
        """What was decided under this state, by what was said; whoever keeps it bounds it."""
        return {}

    def partner(self, key: str) -> Partner | None:
        """Find a partner by key."""
        return next((each for each in self.partners if each.key == key), None)

    def decide(
        self, signals: Signals, use: Use, site: Site, partner: PartnerConsent | None = None
    ) -> Decision:
        """Decide one use under this site's default and the known vendor lists."""
        decision = decide(
            signals,
            use,
            default=site.consent_default,
            partner=partner,
            vendor_lists=self.vendor_lists,
            as_of_ms=self.published_s * 1000 or None,
        )
        count_decision(decision)
        return decision

    def age_s(self) -> float:
        """Tell how long ago the engine published this."""
        return time.time() - self.published_s


def write_tag_state(path: Path, state: TagState) -> None:
    """Replace the published file, atomically and durably."""
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(msgspec.json.encode(state))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


class TagStateFile:
    """The state as last read; `refresh` is cheap when the file did not change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = 0
        self._decoder = msgspec.json.Decoder(TagState)
        self.state = TagState(published_s=0, sites=())

    def refresh(self) -> TagState:
        """Read the file again if it was replaced; keep the last state when it cannot be read."""
        try:
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._stamp:
                self.state = self._decoder.decode(self._path.read_bytes())
                self._stamp = stamp
        except (OSError, msgspec.MsgspecError):
            return self.state
        return self.state
