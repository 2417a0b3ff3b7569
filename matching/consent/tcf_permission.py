"""Judges a decoded TCF string: is it valid, what does it allow to us, what to a vendor.

Pure rules of the framework. Where two readings are possible, the one that denies is taken.
"""

from typing import Final

from matching.consent.tcf import TcString
from matching.consent.vendor_list import Vendor

_POLICY_FIRST: Final = 4
"""Strings of older policies stopped being valid on 30 September 2023."""
_POLICY_OF_TCF_2_3: Final = 5
_POLICY_LAST: Final = 5
"""A newer policy may mean something else by the same bits."""
_DISCLOSED_SINCE_MS: Final = 1_772_236_800_000
"""28 February 2026: strings made since then must say which vendors were disclosed."""
_CONSENT_ONLY: Final = (1, 3, 4, 5, 6)
"""Purposes that nobody may claim a legitimate interest for."""
_DAY_MS: Final = 86_400_000
_LIFE_MS: Final = 396 * _DAY_MS
"""13 months; dates in strings are whole days, hence one day of grace towards the future."""

_NOT_ALLOWED, _BY_CONSENT, _BY_INTEREST = 0, 1, 2


def is_valid(tc: TcString) -> bool:
    """Tell whether the string obeys the framework's rules, whatever it consents to."""
    since_deadline = max(tc.created_ms, tc.updated_ms) >= _DISCLOSED_SINCE_MS
    must_disclose = since_deadline or tc.policy_version >= _POLICY_OF_TCF_2_3
    return (
        _POLICY_FIRST <= tc.policy_version <= _POLICY_LAST
        and tc.service_specific
        and tc.created_ms <= tc.updated_ms
        and not any(purpose in tc.purposes_interest for purpose in _CONSENT_ONLY)
        and not (must_disclose and tc.disclosed is None)
    )


def is_current(tc: TcString, as_of_ms: int) -> bool:
    """Tell whether the string was renewed within 13 months, and not in the future."""
    return -_DAY_MS <= as_of_ms - tc.updated_ms <= _LIFE_MS


def allows_us(tc: TcString, purpose: int) -> bool:
    """Tell whether the person agreed to a purpose, or did not object where that is enough."""
    if purpose == 1 and tc.purpose_one_treatment:
        return False  # nobody was asked
    return purpose in tc.purposes_consent or purpose in tc.purposes_interest


def allows_vendor(tc: TcString, number: int, vendor: Vendor, purpose: int) -> bool:
    """Tell whether one vendor of the string's own list has a legal basis for a purpose."""
    # Why also of strings before 2.3: one that lost this segment on its way looks like them.
    if tc.disclosed is None or number not in tc.disclosed:
        return False
    if purpose == 1 and tc.purpose_one_treatment:
        return False
    limits = {
        each.kind for each in tc.restrictions if each.purpose == purpose and number in each.vendors
    }
    if limits - {_BY_CONSENT, _BY_INTEREST}:
        return False
    may_change = bool(limits) and purpose in vendor.flexible
    consented = _has_consent(tc, number, purpose) and (may_change or purpose in vendor.purposes)
    interested = _has_interest(tc, number, purpose) and (
        may_change or purpose in vendor.li_purposes
    )
    if limits:
        return (consented or _BY_CONSENT not in limits) and (
            interested or _BY_INTEREST not in limits
        )
    return consented or interested


def _has_consent(tc: TcString, number: int, purpose: int) -> bool:
    return purpose in tc.purposes_consent and number in tc.vendors_consent


def _has_interest(tc: TcString, number: int, purpose: int) -> bool:
    return (
        purpose not in _CONSENT_ONLY
        and purpose in tc.purposes_interest
        and number in tc.vendors_interest
    )
