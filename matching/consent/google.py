"""Reads Google's two fields of consent, `ad_user_data` and `ad_personalization`.

A page's word comes in, True, False or None (nothing said) goes out. They are kept among the
visitor's explicit answers; what they are needed for stands in `decide.py`.
"""

from typing import Final

GOOGLE_KEYS: Final = ("ad_user_data", "ad_personalization")
_GRANTED: Final = "granted"


def read_google_choice(said: str | bool | None) -> bool | None:
    """Read a word of Google's consent mode; one that is not `granted` is a denial."""
    if said is None or said == "":
        return None
    return said is True or (isinstance(said, str) and said.lower() == _GRANTED)
