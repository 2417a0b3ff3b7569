"""What do batches save? Messages for one CPU second, twenty to a request against one.

Both go to the same process in turns, and every message is counted in the spool. Run:
`uv run python loadtests/THIS`; needs the package wrk.
"""

from typing import Final

from beacons.contest import Bar, Entrant, compete, judge
from beacons.lab import lab
from beacons.options import read_options
from beacons.pinned import batch, page
from readme_row import write_row

SIZE: Final = 20
SINGLES: Final = "one message a request"
BATCHES: Final = f"{SIZE} messages a request"


def main() -> int:
    """Measure, print, judge."""
    options = read_options(__doc__)
    with lab(options) as made:
        ours = made.jumelle()
        entrants = [
            Entrant(name=SINGLES, server=ours, load=page(ours.keys, renewed=False)),
            Entrant(name=BATCHES, server=ours, load=batch(ours.keys, SIZE)),
        ]
        found = compete(entrants, options)
    saved = found.cpu_ratio(BATCHES, SINGLES)
    each_us = {SINGLES: found.each_us(SINGLES), BATCHES: found.each_us(BATCHES) / SIZE}
    print(found.table(SINGLES))
    for name, us in each_us.items():
        print(f"{name}: {us:.2f} CPU us a message, {1e6 / us:,.0f} messages a CPU second")
    code = judge([Bar(text="messages a CPU second, of singles", found=saved, at_least=8)])
    if options.write:
        figure = (
            f"batches of {SIZE} take {saved:.1f} x the messages of singles for a CPU second "
            f"({each_us[BATCHES]:.2f} CPU us a message against {each_us[SINGLES]:.2f})"
        )
        write_row(__file__, figure)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
