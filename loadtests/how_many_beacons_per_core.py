"""How many beacons per core? Each is kept before it is answered.

POST /t with one page message, beside nginx, bare ASGI, BlackSheep, FastAPI, Node: all keep nothing.
Ours runs with a cookie of today (no Set-Cookie, and nginx sets none either), with one so old that
every answer sets it again, with another visitor in each request of a connection (as behind a proxy)
and once more with a clock at the spool's append. Run: `uv run python loadtests/THIS`; needs the
packages nginx, wrk and nodejs.
"""

from typing import Final

from beacons.closed_loop import ask_once, load_once
from beacons.contest import Bar, Entrant, Results, compete, judge, median_of
from beacons.jumelle import Jumelle
from beacons.lab import lab
from beacons.nginx import nginx_version
from beacons.options import Options, read_options
from beacons.peers import PEERS, peer_versions
from beacons.pinned import page
from readme_row import write_row

OURS: Final = "jumelle"
CHANGING: Final = "jumelle, a visitor each time"
RENEWED: Final = "jumelle, setting the cookie"
NGINX: Final = "nginx"
NGINX_COOKIE: Final = "nginx, setting the cookie"
VISITORS: Final = 512
RAW, BLACKSHEEP, FASTAPI, NODE = PEERS
BARS: Final = {RAW: 1.7, BLACKSHEEP: 2.5, FASTAPI: 10.0, NODE: 1.5}


def main() -> int:
    """Measure, print, judge."""
    options = read_options(__doc__)
    found, append_share = _measure(options)
    print(found.table(NGINX, NGINX_COOKIE, RAW))
    code = judge(_bars(found, append_share))
    if options.write:
        peers = ", ".join(f"{found.cpu_ratio(OURS, name):.2f} x {name}" for name in BARS)
        figure = (
            f"{found.each_us(OURS):.1f} CPU us a beacon, kept: "
            f"{found.cpu_ratio(OURS, NGINX):.2f} of nginx, {peers}; setting the cookie each time "
            f"{found.cpu_ratio(RENEWED, NGINX_COOKIE):.2f} of nginx, "
            f"{found.cpu_ratio(RENEWED, RAW):.2f} x {RAW}; another visitor each time "
            f"{found.cpu_ratio(CHANGING, NGINX):.2f} of nginx; appending is "
            f"{append_share:.1%} of it"
        )
        write_row(__file__, figure, nginx_version(), *peer_versions())
    return code


def _measure(options: Options) -> tuple[Results, float]:
    with lab(options) as made:
        ours, timed = made.jumelle(), made.jumelle("jumelle, timed", timed=True)
        today, old = page(ours.keys, renewed=False), page(ours.keys, renewed=True)
        changing = page(ours.keys, renewed=False, visitors=VISITORS)
        plain = made.nginx(NGINX, {"/t": ask_once(ours, today)})
        cookie = made.nginx(NGINX_COOKIE, {"/t": ask_once(ours, old)})
        entrants = [
            Entrant(name=NGINX, server=plain, load=today),
            Entrant(name=NGINX_COOKIE, server=cookie, load=today),
            Entrant(name=OURS, server=ours, load=today),
            Entrant(name=RENEWED, server=ours, load=old),
            Entrant(name=CHANGING, server=ours, load=changing),
            *(Entrant(name=name, server=made.peer(name), load=today) for name in PEERS),
        ]
        return compete(entrants, options), _append_share(timed, options)


def _append_share(server: Jumelle, options: Options) -> float:
    """Tell the share of the append and of the syncing thread in the process's CPU."""
    load = page(server.keys, renewed=False)
    load_once(server, load, options, seconds=1)
    shares = []
    for _ in range(options.rounds):
        before = server.append_times()
        run = load_once(server, load, options)
        shares.append(server.append_times().share(before, run.cpu_us * 1000))
    return median_of(shares)


def _bars(found: Results, append_share: float) -> list[Bar]:
    bars = []
    for name, reference in ((OURS, NGINX), (RENEWED, NGINX_COOKIE)):
        for peer, bar in {reference: 0.55, **BARS}.items():
            ratio = found.cpu_ratio(name, peer)
            bars.append(Bar(text=f"{name}, of {peer}", found=ratio, at_least=bar))
    return [*bars, Bar(text="appending, share of the CPU", found=append_share, at_most=0.1)]


if __name__ == "__main__":
    raise SystemExit(main())
