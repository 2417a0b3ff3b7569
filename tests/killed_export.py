"""The second run of a seat, in a process that kills itself at a point: `URL FOLDER STEP`."""

import os
import signal
import sys
from pathlib import Path

import msgspec
from seat_world import World, live_ids

import service
from audiences.exports.export_store import ExportStore
from audiences.exports.run_steps import RunStep
from audiences.exports.seats import load_seats
from service.engine.clickhouse_http import open_http


def main(url: str, folder: str, step: str) -> None:
    """Export run 2 and die when the step is passed."""
    seats = load_seats(Path(service.__file__).parent / "example_config")
    seat = next(each for each in seats if each.key == "xandr_958")
    file = msgspec.structs.replace(seat.file, max_rows=2)
    seat = msgspec.structs.replace(seat, min_size=2, file=file)
    store = ExportStore(open_http(url, database="killed", settings={}))
    world = World(store, seat, Path(folder), live_ids)
    world.activate("champions", "10", {0, 1, 2})
    world.live()
    world.activate("champions", "10", {2, 3, 4, 5, 6})

    def on_step(now: RunStep) -> None:
        if now == step:
            os.kill(os.getpid(), signal.SIGKILL)

    world.export(2, on_step=on_step)


if __name__ == "__main__":
    main(*sys.argv[1:])
