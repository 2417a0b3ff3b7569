"""How late are answers at half load? Beside nginx's, each at half of what it can do itself.

First each server's own maximum (wrk, one core); then half of it at a constant rate, lateness
counted from when a request was due, in turns. Run: `uv run python loadtests/THIS`; needs the
packages nginx, wrk and gcc.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from beacons.closed_loop import ask_once
from beacons.contest import Bar, Entrant, Results, compete, judge, median_of
from beacons.lab import lab
from beacons.nginx import nginx_version
from beacons.open_loop import Lateness, ask_at, compile_open_loop
from beacons.options import Options, read_options
from beacons.peers import PEERS, peer_versions
from beacons.pinned import page
from readme_row import write_row

NGINX: Final = "nginx"
OURS: Final = "jumelle"
HELD_US_MAX: Final = 500
RAW: Final = next(iter(PEERS))


def main() -> int:
    """Measure, print, judge."""
    options = read_options(__doc__)
    late = _measure(options)
    print(
        f"{'server':<20} {'rate/s':>7} {'p50 us':>8} {'p99 us':>8} {'most us':>9} {'held p99':>9}"
    )
    for name in late:
        rate, *figures = (_median(late, name, each) for each in Lateness.__struct_fields__)
        p50, p99, most, held = figures
        print(f"{name:<20} {rate:7,.0f} {p50:8.0f} {p99:8.0f} {most:9.0f} {held:9.0f}")
    p50, p99 = (_ratio(late, field) for field in ("p50_us", "p99_us"))
    if late_by_itself := _held_us(late):
        print(
            f"the generator itself was late by {late_by_itself:.0f} us (p99): not a quiet machine"
        )
        return 1
    code = judge(
        [
            Bar(text="p50 at half load, of nginx", found=p50, at_most=2.5),
            Bar(text="p99 at half load, of nginx", found=p99, at_most=2),
        ]
    )
    if options.write:
        figure = (
            f"at {_median(late, OURS, 'rate'):,.0f}/s, half of its maximum: "
            f"p50 {_median(late, OURS, 'p50_us') / 1000:.2f} ms, {p50:.1f} x nginx at half of its "
            f"own; p99 {_median(late, OURS, 'p99_us') / 1000:.2f} ms, {p99:.1f} x nginx"
        )
        write_row(__file__, figure, nginx_version(), *peer_versions())
    return code


def _measure(options: Options) -> dict[str, list[Lateness]]:
    with lab(options) as made:
        ours = made.jumelle()
        load = page(ours.keys, renewed=False)
        nginx = made.nginx(NGINX, {"/t": ask_once(ours, load)})
        servers = {NGINX: nginx, OURS: ours, RAW: made.peer(RAW)}
        entrants = [
            Entrant(name=name, server=server, load=load) for name, server in servers.items()
        ]
        most = compete(entrants, options)
        print(most.table(NGINX))
        return _at_half(entrants, most, options, compile_open_loop(made.folder))


def _at_half(
    entrants: Sequence[Entrant], most: Results, options: Options, program: Path
) -> dict[str, list[Lateness]]:
    late: dict[str, list[Lateness]] = {each.name: [] for each in entrants}
    for _ in range(options.rounds):
        for each in entrants:
            rate = most.per_second(each.name) / 2
            late[each.name].append(ask_at(rate, each.server, each.load, options, program=program))
    return late


def _held_us(late: dict[str, list[Lateness]]) -> float:
    """Tell how late requests to nginx were sent, if so late that lateness says nothing; else 0."""
    held_us = _median(late, NGINX, "held_p99_us")
    return held_us if held_us > HELD_US_MAX else 0


def _median(late: dict[str, list[Lateness]], name: str, field: str) -> float:
    return median_of([getattr(each, field) for each in late[name]])


def _ratio(late: dict[str, list[Lateness]], field: str) -> float:
    pairs = zip(late[OURS], late[NGINX], strict=True)
    return median_of([getattr(ours, field) / getattr(nginx, field) for ours, nginx in pairs])


if __name__ == "__main__":
    raise SystemExit(main())
