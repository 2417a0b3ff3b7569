"""What a partner's file says: how its sync fires, where our token comes back, what a real id is.

Comes in as TOML, goes out as frozen values. Loading and checking are in `partners.py`, rendering
in `sync_url.py`; nothing here does I/O.
"""

import datetime as dt
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from matching.consent.decide import PartnerConsent

Key = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
IdSpace = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.:-]{0,63}$")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}$")]
Share = Annotated[float, Meta(ge=0, le=1)]
Days = Annotated[int, Meta(ge=1, le=400)]
MacroName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
EncodingDepth = Annotated[int, Meta(ge=0, le=2)]


VISITORS_PER_ID_MAX: Final = 5
"""An id that more visitors carry is nobody's: a partner's default, or one id handed to many."""


class Direction(StrEnum):
    """Who learns whose id."""

    OUT = "out"
    """We fire the partner's URL with our id; the partner keeps the pair."""
    BACK = "back"
    """We fire the partner's URL and it answers with a redirect that carries its id."""
    IN = "in"
    """The partner begins, at `/sync/in/{partner}`; we never offer it to a page ourselves."""


class Transport(StrEnum):
    """How a page may fire the URL, in the words of Prebid's `filterSettings`."""

    IMAGE = "image"
    IFRAME = "iframe"
    FETCH_JSON = "fetch_json"


class RedirectPosition(StrEnum):
    """Where the partner's URL holds our callback."""

    PARAM = "param"
    QUERY = "query"
    """The whole query string is the callback."""
    PATH = "path"
    REGISTERED = "registered"
    """The partner knows our callback by heart; the URL does not hold it."""


class TokenPlace(StrEnum):
    """Where our callback finds the token again."""

    REDIRECT = "redirect"
    OUR_ID_PARAM = "our_id_param"
    """The token travels as our id and the partner hands it back."""
    ECHOED_PARAM = "echoed_param"
    """The partner repeats parameters that it does not know."""
    COOKIE = "cookie"
    """Nothing comes back but the browser; opt-in, and never by fetch."""


class OurIdEncoding(StrEnum):
    """How the partner wants our id written."""

    PLAIN = "plain"
    B64URL = "b64url"
    HEXBYTES_B64 = "hexbytes_b64"
    """Our hexadecimal id as bytes, then web-safe base64."""


class ConsentParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The partner's names for the signals of consent; an empty name is not sent."""

    gdpr: str = ""
    gdpr_values: tuple[str, str] = ("0", "1")
    """What "does not apply" and "applies" are called."""
    consent: str = ""
    us_privacy: str = ""
    gpp: str = ""
    gpp_sid: str = ""
    together: bool = False
    """Send `gdpr` and `consent` both or neither."""

    def any(self) -> bool:
        """Tell whether the partner takes a signal at all."""
        return bool(self.gdpr or self.consent or self.us_privacy or self.gpp or self.gpp_sid)


class SkipWhen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When this partner is left alone whatever the consent says."""

    gdpr: bool = False
    gpp_sid: tuple[int, ...] = ()
    gpc: bool = False


class Arrives(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters under which our callback receives what the partner sends."""

    id: str = "uid"
    token: str = "t"  # noqa: S105 - a parameter's name
    error: str = ""


class Sync(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One partner's sync, as data."""

    direction: Direction
    url_template: str
    """Macros: {redirect} {our_id} {token} {consent_params} and the names under `account`."""
    transports: Annotated[tuple[Transport, ...], Meta(min_length=1)] = (Transport.IMAGE,)
    redirect_position: RedirectPosition | None = None
    redirect_encoding_depth: EncodingDepth = 1
    user_macro: str = ""
    """What the partner replaces by its id; empty: it appends the id to the end."""
    user_macro_encoding_depth: EncodingDepth | None = None
    """Where the macro is encoded otherwise than the redirect around it."""
    token_place: TokenPlace | None = None
    registered_callback: str = ""
    """What the operator has the partner register; {base} is our public address."""
    our_id_param: str = ""
    our_id_macro: str = ""
    """What the partner replaces by our id in the registered callback."""
    our_id_encoding: OurIdEncoding = OurIdEncoding.PLAIN
    arrives: Arrives = Arrives()
    consent_params: ConsentParams = ConsentParams()
    skip_when: SkipWhen = SkipWhen()
    passes: tuple[MacroName, ...] = ()
    """Parameters of the partner's own call at `/sync/in` that our answer hands on, as macros."""
    hide_referrer: bool = False
    hops_max: Annotated[int, Meta(ge=1, le=10)] = 5
    """Redirects at most, from its URL to our callback."""


class IdRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a real id of this partner looks like."""

    pattern: str = r"[\x21-\x7e]+"
    length_min: Annotated[int, Meta(ge=1)] = 1
    length_max: Annotated[int, Meta(ge=1, le=1024)] = 256
    sentinels: tuple[str, ...] = ()
    """Answers that mean "nobody": opted out, not logged in, blocked."""
    example: str = "c0ffee00c0ffee00c0ffee00c0ffee00"
    """A made-up id of the usual shape, for trials."""


class Partner(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A company whose ids we exchange: known facts with the operator's own laid over them."""

    key: Key
    name: str
    id_space: IdSpace
    sync: Sync
    enabled: bool = False
    based_on: str = ""
    """The known partner whose facts this file starts from; its own key unless said."""
    gvl_id: Annotated[int, Meta(ge=1)] | None = None
    purposes: tuple[Annotated[int, Meta(ge=1, le=11)], ...] = ()
    """What it must be allowed beyond what a sync or an export needs anyway."""
    ids: IdRules = IdRules()
    refresh_days: Days = 7
    lives_days: Days = 30
    priority: Annotated[int, Meta(ge=1, le=99)] = 5
    """1 is asked first."""
    weight: Annotated[float, Meta(ge=0)] = 1.0
    """Within one priority the heavier is asked first."""
    sample: Share = 1.0
    countries: tuple[Country, ...] = ()
    """Only there, when any is named; a browser of unknown country is then left out."""
    countries_not: tuple[Country, ...] = ()
    account: dict[str, str] = field(default_factory=dict)
    """The operator's own numbers at this partner, by macro name."""
    asks: dict[str, str] = field(default_factory=dict)
    """What the operator must ask the partner for: macros of its URL, and other facts by name."""
    confirmed: tuple[str, ...] = ()
    """Questions of `asks` that the partner answered, where no other fact shows it."""
    docs_url: str = ""
    verified: dt.date | None = None

    @property
    def questions(self) -> dict[str, str]:
        """Say what the partner is still to be asked for, by name."""
        answered = {name for name, value in self.account.items() if value.strip()}
        answered |= set(self.confirmed)
        if self.sync.token_place is not None:
            answered.add("token_place")
        if self.gvl_id is not None:
            answered.add("gvl_id")
        return {name: text for name, text in self.asks.items() if name not in answered}

    @property
    def consent(self) -> PartnerConsent:
        """Say what the consent decision needs to know of this partner."""
        return PartnerConsent(gvl_id=self.gvl_id, purposes=self.purposes)
