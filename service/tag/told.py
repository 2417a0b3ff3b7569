"""What a message tells besides its bytes: its context, read, and what follows from that.

Values alone: who hears them and decides is `sender.py`.
"""

import msgspec

from matching.consent.decide import Signals
from service.tag.messages import Context


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the `context` of a message says, and what follows from it."""

    context: Context | None
    signals: Signals
    encoded: str
    """The signals as the record keeps them."""
    may_store: bool
    refuses: bool
    """Whether it may not be stored because somebody said no, not because nobody said yes."""
    is_common: bool
    """Whether it may be stored, holds no contact, proves nothing and may leave traces."""
    manners: dict[str, "Manner"]
    """By type of message."""


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """A type of messages with what their context tells: they have one meta by each sender."""

    type: str
    told: Told
    name: tuple[str, str]
    """The type and the signals."""


def manner_of(told: Told, type_: str) -> Manner:
    """Give what messages of this type have in common that tell this."""
    known = told.manners.get(type_)
    if known is None:
        known = Manner(type=type_, told=told, name=(type_, told.encoded))
        told.manners[type_] = known
    return known
