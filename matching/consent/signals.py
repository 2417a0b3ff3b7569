"""The consent signals of one message, what they are asked about, and their canonical text.

Signals are kept as they came, so that every decision can be made again from the stored text.
"""

from enum import StrEnum, auto
from typing import Final

import msgspec

from matching.consent.site_default import is_in_eea


class Use(StrEnum):
    """What we want to do: set our cookie, record, find twins, sync, send out, personalise."""

    STORE = auto()
    AUDIENCES = auto()
    LOOKALIKES = auto()
    SYNC = auto()
    EXPORT = auto()
    PERSONALISE = auto()


class Signals(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The consent signals of one message, as they came; `explicit` is the tag's `consent()`."""

    tcf: str = ""
    gdpr: bool | None = None
    gpp: str = ""
    gpp_sid: tuple[int, ...] = ()
    us_privacy: str = ""
    gpc: bool = False
    explicit: dict[str, bool] | None = None
    opted_out: bool = False
    by_server: bool = False
    """Sent by a server, which cannot see the browser's GPC header."""
    country: str = ""
    """Where the visitor is, as a trusted proxy says; it decides which default holds."""

    @property
    def gdpr_applies(self) -> bool | None:
        """Give what the page says of the GDPR; its no does not hold where the proxy says EEA."""
        return None if self.gdpr is False and is_in_eea(self.country) else self.gdpr

    @property
    def is_silent(self) -> bool:
        """Tell whether nothing was said; where somebody is says nothing."""
        return self == Signals(country=self.country)


class SignalsError(ValueError):
    """A stored text of signals cannot be read; whoever meets it must deny."""


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_DECODER: Final = msgspec.json.Decoder(Signals)


def encode_signals(signals: Signals) -> str:
    """Write signals as canonical JSON: equal signals give equal text, none give ""."""
    text = _ENCODER.encode(signals).decode()
    return "" if text == "{}" else text


def decode_signals(text: str) -> Signals:
    """Read what `encode_signals` wrote."""
    if not text:
        return Signals()
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise SignalsError(
            f"Stored consent signals cannot be read: {error}. Deny, and look where they came from."
        ) from error
