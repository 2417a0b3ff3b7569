"""What a site allows visitors who said nothing: one answer, or one by country.

The site's setting and the country that a trusted proxy named come in. Nobody's word is asked here.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

Answer = Literal["allow", "deny"]
SiteDefault = Answer | Mapping[str, Answer]
"""By country: two capital letters; `EEA` for its countries not named, `other` for all the rest."""

EEA: Final = "EEA"
OTHER: Final = "other"
EEA_COUNTRIES: Final = (
    *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE"),
    *("IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"),
    *("AX", "GF", "GP", "MF", "MQ", "RE", "YT"),  # parts of them with codes of their own
)
LIKE_EEA: Final = frozenset((*EEA_COUNTRIES, "CH", "GB", "GI"))
"""The framework and Google ask the same of visitors from Switzerland and the United Kingdom."""
_COUNTRY: Final = re.compile("[A-Z]{2}")
_NOWHERE: Final = frozenset({"XX", "T1", "ZZ", "EU", "AP", "A1", "A2"})
"""What proxies write when they do not know the country."""


def allows_silent(default: SiteDefault, country: str) -> bool:
    """Tell whether a visitor of this country may be served without having said anything.

    Who comes from nowhere known is treated as from the EEA; what is not set is denied.
    """
    if isinstance(default, str):
        return default == "allow"
    if is_outside_eea(country):
        return default.get(country, default.get(OTHER, "deny")) == "allow"
    return default.get(known_country(country) or EEA, default.get(EEA, "deny")) == "allow"


def is_outside_eea(country: str) -> bool:
    """Tell whether somebody is known to be where the EEA's rules do not hold."""
    return bool(known_country(country)) and not is_in_eea(country)


def is_in_eea(country: str) -> bool:
    """Tell whether somebody is known to be where the EEA's rules hold."""
    return known_country(country) in LIKE_EEA


def known_country(text: str) -> str:
    """Give a proxy's word for a country as two capital letters; empty for none."""
    country = text.strip().upper()
    return country if _COUNTRY.fullmatch(country) and country not in _NOWHERE else ""


def fault_of_default(default: SiteDefault) -> str:
    """Say what is wrong with a site's setting, or nothing."""
    if isinstance(default, str):
        return ""
    wrong = sorted(key for key in default if key not in {EEA, OTHER} and key != known_country(key))
    if not wrong:
        return ""
    return (
        f"consent_default names {', '.join(wrong)}; give countries by two capital letters, "
        f"{EEA} and {OTHER}"
    )
