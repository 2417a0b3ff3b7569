"""Decides whether one visitor's consent signals allow one use; every denial wins.

Signals as they came go in, a `Decision` with its signal and reason goes out. A signal that is
present but unreadable denies every use. Erasure and suppression are not known here.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from matching.consent.bits import Unreadable
from matching.consent.decision import (
    NO_VENDOR_LISTS,
    Decision,
    PartnerConsent,
    Reason,
    Signal,
)
from matching.consent.gpp import TCF_EU, US_PRIVACY, Gpp, decode_gpp
from matching.consent.signals import Signals, Use, decode_signals, encode_signals
from matching.consent.site_default import SiteDefault, allows_silent, is_in_eea, is_outside_eea
from matching.consent.tcf import TcString, decode_tcf
from matching.consent.tcf_permission import allows_us, allows_vendor, is_current, is_valid
from matching.consent.us_privacy import SaleChoice, read_us_privacy
from matching.consent.us_sections import US_SECTIONS, UsSection, decode_us_section
from matching.consent.vendor_list import VendorList

__all__ = [
    "NO_VENDOR_LISTS",
    "Decision",
    "PartnerConsent",
    "Reason",
    "Signal",
    "Signals",
    "Use",
    "decide",
    "decode_signals",
    "encode_signals",
    "says_gpc",
]

_OUR_PURPOSES: Final[Mapping[Use, tuple[int, ...]]] = {
    Use.STORE: (1,),
    Use.AUDIENCES: (3, 9),
    Use.LOOKALIKES: (3, 9, 10),
    Use.SYNC: (1,),
    Use.EXPORT: (3, 4),
    Use.PERSONALISE: (4,),
}
_VENDOR_PURPOSES: Final[Mapping[Use, tuple[int, ...]]] = {Use.SYNC: (1,), Use.EXPORT: (4,)}
_SALES: Final = frozenset({Use.SYNC, Use.EXPORT})
"""What laws of the United States call sale or sharing."""
_SECTIONS_MAX: Final = 64
"""So many sections may be named as applying; a GPP string cannot have more."""
_EXPLICIT_KEYS: Final[Mapping[Use, tuple[str, ...]]] = {
    Use.STORE: ("store",),
    Use.AUDIENCES: ("audiences",),
    Use.LOOKALIKES: ("audiences",),
    Use.SYNC: ("sync",),
    Use.EXPORT: ("audiences", "sync"),
    Use.PERSONALISE: ("personalise",),
}
GOOGLE_GVL_ID: Final = 755
_GOOGLE_KEYS: Final[Mapping[Use, tuple[str, ...]]] = {
    Use.SYNC: ("ad_user_data",),
    Use.EXPORT: ("ad_user_data", "ad_personalization"),
}
"""What Google wants to know before it is given an id, and before it is told of audiences."""


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    signals: Signals
    use: Use
    partner: PartnerConsent | None
    vendor_lists: Mapping[int, VendorList]
    as_of_ms: int | None


def decide(
    signals: Signals,
    use: Use,
    *,
    default: SiteDefault,
    partner: PartnerConsent | None = None,
    vendor_lists: Mapping[int, VendorList] = NO_VENDOR_LISTS,
    as_of_ms: int | None = None,
) -> Decision:
    """Take the first denial in the order of `_JUDGES`, else the first permission, else the default.

    Without `as_of_ms` the age of a TCF string is not judged.
    """
    asked = _Asked(
        signals=signals, use=use, partner=partner, vendor_lists=vendor_lists, as_of_ms=as_of_ms
    )
    permitted_by: Signal | None = None
    for signal, judge in _JUDGES:
        reason = judge(asked)
        if reason is Reason.ALLOWED:
            permitted_by = permitted_by or signal
        elif reason is not None:
            return Decision(allowed=False, signal=signal, reason=reason)
    if permitted_by is not None:
        return Decision(allowed=True, signal=permitted_by, reason=Reason.ALLOWED)
    allowed = allows_silent(default, signals.country)
    return Decision(
        allowed=allowed,
        signal=Signal.SITE_DEFAULT,
        reason=Reason.ALLOWED if allowed else Reason.DEFAULT_DENY,
    )


def says_gpc(signals: Signals) -> bool:
    """Tell whether Global Privacy Control is on, by header or inside a section that applies."""
    gpp = _sections(signals)
    if signals.gpc or isinstance(gpp, Unreadable):
        return signals.gpc
    found = (
        decode_us_section(section, gpp.sections[section])
        for section in _applying(signals, gpp)
        if section in US_SECTIONS and section in gpp.sections
    )
    return any(isinstance(each, UsSection) and each.gpc for each in found)


def _judge_opt_out(asked: _Asked) -> Reason | None:
    return Reason.OPTED_OUT if asked.signals.opted_out else None


def _judge_gpc(asked: _Asked) -> Reason | None:
    return Reason.GPC if asked.signals.gpc and asked.use in _SALES else None


def _judge_gpp(asked: _Asked) -> Reason | None:
    """Judge all sections that apply, but the TCF's; only one that the page named may permit."""
    signals = asked.signals
    gpp = _sections(signals)
    if isinstance(gpp, Unreadable) or len(signals.gpp_sid) > _SECTIONS_MAX:
        return Reason.GPP_UNREADABLE
    applying = _applying(signals, gpp)
    reasons = [_judge_section(each, gpp, asked) for each in applying if each != TCF_EU]
    denial = next((each for each in reasons if each not in {None, Reason.ALLOWED}), None)
    if denial is not None:
        return denial
    # Why not in the EEA: no law of the United States holds there, whatever the page says.
    may_permit = max(signals.gpp_sid, default=0) > 0 and not is_in_eea(signals.country)
    return Reason.ALLOWED if may_permit and Reason.ALLOWED in reasons else None


def _sections(signals: Signals) -> Gpp | Unreadable:
    return decode_gpp(signals.gpp) if signals.gpp else Gpp(sections={})


def _applying(signals: Signals, gpp: Gpp) -> tuple[int, ...]:
    """List the sections that apply: those named, or all when none is; -1 says that none does."""
    named = tuple(section for section in signals.gpp_sid if section != 0)
    return tuple(section for section in named if section > 0) if named else tuple(gpp.sections)


def _judge_section(section: int, gpp: Gpp, asked: _Asked) -> Reason | None:
    text = gpp.sections.get(section)
    if section == US_PRIVACY and (text is not None or asked.signals.us_privacy):
        return None if text is None else _judge_gpp_us_privacy(text, asked.use)
    if text is None or section not in US_SECTIONS:
        return Reason.GPP_SECTION_UNKNOWN
    us = decode_us_section(section, text)
    if isinstance(us, Unreadable):
        return Reason.GPP_UNREADABLE
    if us.child_without_consent and asked.use is not Use.STORE:
        return Reason.GPP_CHILD
    if us.gpc and asked.use in _SALES:
        return Reason.GPC
    if us.opted_out and asked.use in _SALES:
        return Reason.GPP_OPT_OUT
    if us.unasked and asked.use in _SALES:
        return Reason.GPP_NO_NOTICE
    return Reason.ALLOWED if us.may_sell else None


def _judge_gpp_us_privacy(text: str, use: Use) -> Reason | None:
    choice = read_us_privacy(text)
    if choice is SaleChoice.UNREADABLE:
        return Reason.GPP_UNREADABLE
    return Reason.GPP_OPT_OUT if choice is SaleChoice.OPTED_OUT and use in _SALES else None


def _judge_us_privacy(asked: _Asked) -> Reason | None:
    if not asked.signals.us_privacy:
        return None
    choice = read_us_privacy(asked.signals.us_privacy)
    if choice is SaleChoice.UNREADABLE:
        return Reason.USP_UNREADABLE
    return Reason.USP_OPT_OUT if choice is SaleChoice.OPTED_OUT and asked.use in _SALES else None


def _judge_tcf(asked: _Asked) -> Reason | None:
    """Judge every TCF string that applies; two that disagree deny."""
    signals = asked.signals
    applies = signals.gdpr is True or TCF_EU in signals.gpp_sid
    if signals.gdpr_applies is False and not applies:
        return None
    reasons = [_judge_tc_string(text, asked) for text in _tcf_texts(signals)]
    if not reasons:
        return Reason.TCF_MISSING if applies else None
    return next((reason for reason in reasons if reason is not Reason.ALLOWED), Reason.ALLOWED)


def _tcf_texts(signals: Signals) -> Iterator[str]:
    if signals.tcf:
        yield signals.tcf
    gpp = _sections(signals)
    if isinstance(gpp, Gpp) and TCF_EU in gpp.sections:
        named = [section for section in signals.gpp_sid if section != 0]
        in_eea = signals.gdpr is True or is_in_eea(signals.country)
        if not named or TCF_EU in named or in_eea:
            yield gpp.sections[TCF_EU]


def _judge_tc_string(text: str, asked: _Asked) -> Reason:
    tc = decode_tcf(text)
    if isinstance(tc, Unreadable):
        return Reason.TCF_UNREADABLE
    if not is_valid(tc):
        return Reason.TCF_INVALID
    if asked.as_of_ms is not None and not is_current(tc, asked.as_of_ms):
        return Reason.TCF_EXPIRED
    if not all(allows_us(tc, purpose) for purpose in _OUR_PURPOSES[asked.use]):
        return Reason.TCF_PURPOSE
    if asked.partner is None or asked.use not in _VENDOR_PURPOSES:
        return Reason.ALLOWED
    return _judge_vendor(tc, asked.partner, asked)


def _judge_vendor(tc: TcString, partner: PartnerConsent, asked: _Asked) -> Reason:
    if partner.gvl_id is None:
        return Reason.NO_GVL_ID
    vendors = asked.vendor_lists.get(tc.vendor_list_version)
    if vendors is None:
        return Reason.NO_VENDOR_LIST
    vendor = vendors.vendors.get(partner.gvl_id)
    purposes = {*_VENDOR_PURPOSES[asked.use], *partner.purposes}
    if vendor is None or not all(
        allows_vendor(tc, partner.gvl_id, vendor, purpose) for purpose in purposes
    ):
        return Reason.TCF_VENDOR
    return Reason.ALLOWED


def _judge_explicit(asked: _Asked) -> Reason | None:
    explicit = asked.signals.explicit or {}
    answers = [explicit.get(key) for key in _EXPLICIT_KEYS[asked.use]]
    # Why `store` too: nothing can be done with what may not be kept.
    if False in answers or explicit.get("store") is False:
        return Reason.EXPLICIT_DENIAL
    return Reason.ALLOWED if all(answers) else None


def _judge_google(asked: _Asked) -> Reason | None:
    """Judge Google's two fields for Google alone; they forbid and never permit by themselves."""
    if asked.partner is None or asked.partner.gvl_id != GOOGLE_GVL_ID:
        return None
    explicit = asked.signals.explicit or {}
    answers = [explicit.get(key) for key in _GOOGLE_KEYS.get(asked.use, ())]
    if False in answers:
        return Reason.GOOGLE_DENIAL
    must_answer = asked.use is Use.EXPORT and not is_outside_eea(asked.signals.country)
    return Reason.GOOGLE_MISSING if must_answer and None in answers else None


_JUDGES: Final[tuple[tuple[Signal, Callable[[_Asked], Reason | None]], ...]] = (
    (Signal.OPT_OUT, _judge_opt_out),
    (Signal.GPC, _judge_gpc),
    (Signal.GPP, _judge_gpp),
    (Signal.US_PRIVACY, _judge_us_privacy),
    (Signal.TCF, _judge_tcf),
    (Signal.EXPLICIT, _judge_explicit),
    (Signal.GOOGLE, _judge_google),
)
