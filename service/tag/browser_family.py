"""Which family a browser is of, from its agent string: partners answer each family differently.

A closed list comes out, coarse enough to name nobody.
"""

from enum import StrEnum
from functools import lru_cache
from typing import Final


class BrowserFamily(StrEnum):
    """Browsers that treat the cookies of third parties alike."""

    CHROME = "chrome"
    EDGE = "edge"
    FIREFOX = "firefox"
    OPERA = "opera"
    SAFARI = "safari"
    SAMSUNG = "samsung"
    WEBVIEW = "webview"
    OTHER = "other"


# Why in this order: nearly all agents also name the browsers that they descend from.
_MARKS: Final = (
    ("; wv)", BrowserFamily.WEBVIEW),
    ("Edg/", BrowserFamily.EDGE),
    ("EdgA/", BrowserFamily.EDGE),
    ("OPR/", BrowserFamily.OPERA),
    ("SamsungBrowser/", BrowserFamily.SAMSUNG),
    ("Firefox/", BrowserFamily.FIREFOX),
    # Why Safari: on iOS every browser is Apple's engine and keeps cookies as it does.
    ("iPhone", BrowserFamily.SAFARI),
    ("iPad", BrowserFamily.SAFARI),
    ("Chrome/", BrowserFamily.CHROME),
    ("Version/", BrowserFamily.SAFARI),
)


@lru_cache(maxsize=65_536)
def browser_family(agent: str) -> BrowserFamily:
    """Give the family of an agent string."""
    return next((family for mark, family in _MARKS if mark in agent), BrowserFamily.OTHER)
