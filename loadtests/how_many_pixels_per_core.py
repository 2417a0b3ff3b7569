"""How many pixels per core? Each is kept before it is answered.

GET /p.gif with the message in its query, beside nginx's empty GIF, bare ASGI and BlackSheep, which
keep nothing; with a cookie of today, and with one that every answer sets again. Run:
`uv run python loadtests/THIS`; needs the packages nginx and wrk.
"""

from typing import Final

from beacons.closed_loop import ask_once
from beacons.contest import Bar, Entrant, Results, compete, judge
from beacons.lab import lab
from beacons.nginx import nginx_version
from beacons.options import Options, read_options
from beacons.peers import PEERS, peer_versions
from beacons.pinned import pixel
from readme_row import write_row

OURS: Final = "jumelle"
RENEWED: Final = "jumelle, setting the cookie"
NGINX: Final = "nginx"
NGINX_COOKIE: Final = "nginx, setting the cookie"
RAW, BLACKSHEEP, *_ = PEERS


def main() -> int:
    """Measure, print, judge."""
    options = read_options(__doc__)
    found = _measure(options)
    print(found.table(NGINX, NGINX_COOKIE, RAW))
    pairs = ((OURS, NGINX), (RENEWED, NGINX_COOKIE))
    ratios = {name: found.cpu_ratio(name, reference) for name, reference in pairs}
    code = judge(
        [
            Bar(text=f"{name}, of nginx's empty GIF", found=ratio, at_least=0.55)
            for name, ratio in ratios.items()
        ]
    )
    if options.write:
        figure = (
            f"{found.each_us(OURS):.1f} CPU us a pixel, kept: {ratios[OURS]:.2f} of nginx's empty "
            f"GIF, {found.cpu_ratio(OURS, RAW):.2f} x {RAW}, "
            f"{found.cpu_ratio(OURS, BLACKSHEEP):.2f} x {BLACKSHEEP}; setting the cookie each time "
            f"{ratios[RENEWED]:.2f} of nginx"
        )
        write_row(__file__, figure, nginx_version(), *peer_versions())
    return code


def _measure(options: Options) -> Results:
    with lab(options) as made:
        ours = made.jumelle()
        today, old = pixel(ours.keys, renewed=False), pixel(ours.keys, renewed=True)
        plain = made.nginx(NGINX, {"/p.gif": ask_once(ours, today)})
        cookie = made.nginx(NGINX_COOKIE, {"/p.gif": ask_once(ours, old)})
        entrants = [
            Entrant(name=NGINX, server=plain, load=today),
            Entrant(name=NGINX_COOKIE, server=cookie, load=today),
            Entrant(name=OURS, server=ours, load=today),
            Entrant(name=RENEWED, server=ours, load=old),
            *(Entrant(name=each, server=made.peer(each), load=today) for each in (RAW, BLACKSHEEP)),
        ]
        return compete(entrants, options)


if __name__ == "__main__":
    raise SystemExit(main())
