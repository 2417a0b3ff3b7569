"""Which agents are no people: judged by agent string, flagged and never dropped.

Source of the patterns: the crawlerdetect package.
"""

from functools import lru_cache
from typing import Final

from crawlerdetect import CrawlerDetect

SERVER_LIBRARIES: Final = ("analytics-", "jumelle-server")

_crawlers: Final = CrawlerDetect()


def is_bot(agent: str, library: str) -> bool:
    """Judge a browser's message; what a server's library sends is not judged."""
    return not library.startswith(SERVER_LIBRARIES) and is_crawler(agent)


@lru_cache(maxsize=65_536)
def is_crawler(agent: str) -> bool:
    """Tell a crawler's agent string."""
    return bool(_crawlers.isCrawler(agent))
