"""Which site a request of the API is for: its name comes in, the site goes out, or why not."""

from typing import Any

from litestar import Request
from litestar.exceptions import PermissionDeniedException

from service.api.auth import key_of
from service.api.errors import NotFound
from service.config import Config
from service.tag.tag_state import Site


def find_site(request: Request[Any, Any, Any], name: str) -> Site:
    """Give the configured site that is named, if the caller's key is for it.

    An installation's only site needs no name.
    """
    config: Config = request.app.state.engine.config
    site = config.site(name) if name else config.default_site
    if site is None:
        known = ", ".join(each.key for each in config.sites)
        raise NotFound(f"there is no site {name!r}; config/sites has {known}")
    own = key_of(request).sites
    if own and site.key not in own:
        raise PermissionDeniedException(
            f"this key is for the sites {', '.join(own)} and not for {site.key!r}; "
            "name the site by `?site=`"
        )
    return site
