"""Tells how long a lookalike with its report takes, a quick one, and how much memory.

A crowd with 5,000 traits, 44 a person, and a seed of 2,000; 50,000,000 people take some 4 GiB for
their traits. Several sizes show the growth. `--trees` trains LightGBM on the same
people, cross-fitted, which takes minutes from 300,000 people on.

    uv run python loadtests/how_fast_are_lookalikes.py [--people 1000000 10000000] [--write]
    uv run --group loadtests python loadtests/how_fast_are_lookalikes.py --people 100000 --trees
"""

import argparse
import statistics
import time
from typing import Final

import msgspec
import numpy as np
from lookalikes.crowd import Crowd, make_crowd
from lookalikes.memory import watched
from lookalikes.one_thread import keep_to_one_thread
from pyroaring import BitMap
from readme_row import write_row

from audiences.lookalike import LookalikeRequest, find_twins
from audiences.lookalike_weights import LookalikeMethod
from audiences.lookalikes.ranges import columns_of, fold_of
from matching.bitmaps import ordinals_of

REPEATS: Final = 3
PERCENT: Final = 5.0


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of lookalike took: medians of CPU and clock seconds, and memory in MiB."""

    cpu: float
    clock: float
    memory: float
    auc: float


def main() -> None:
    """Find twins at each size and print what it took."""
    keep_to_one_thread()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--people", type=int, nargs="+", default=[1_000_000])
    options.add_argument("--repeats", type=int, default=REPEATS)
    options.add_argument("--trees", action="store_true")
    options.add_argument("--write", action="store_true")
    asked = options.parse_args()
    figures = []
    for people in asked.people:
        crowd = make_crowd(people)
        full = _take(crowd, asked.repeats, quick=False)
        quick = _take(crowd, asked.repeats, quick=True)
        figures.append(
            f"{people:,} people: {full.cpu:.2f} CPU s with the report ({full.clock:.2f} s, "
            f"{full.memory:.0f} MiB beyond the traits), {quick.cpu:.2f} with the 200 best traits "
            f"({quick.clock:.2f} s)"
        )
        print(f"{figures[-1]}; AUC told {full.auc:.3f}, {quick.auc:.3f}", flush=True)
        if asked.trees:
            seconds = _train_trees(crowd)
            figures[-1] += f"; LightGBM {seconds:.1f} CPU s, {full.cpu / seconds:.4f} of it"
            print(figures[-1])
    if asked.write:
        write_row(__file__, "; ".join(figures))


def _take(crowd: Crowd, repeats: int, *, quick: bool) -> Taken:
    cpu, clock, memory, auc = [], [], [], 0.0
    for each in range(repeats):
        request = LookalikeRequest(
            seed="seed", method=LookalikeMethod.AUTO, percent=PERCENT, quick=quick
        )
        begun, begun_cpu = time.perf_counter(), time.process_time()
        with watched() as peak:
            found = find_twins(
                request,
                traits=crowd.traits,
                seed=crowd.seed,
                base=crowd.base,
                excluded=BitMap(),
                rng_seed=each,
            )
        clock.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - begun_cpu)
        memory.append(peak.beyond)
        auc = found.report.hold_out[0].auc.mean
    return Taken(
        cpu=statistics.median(cpu), clock=statistics.median(clock), memory=max(memory), auc=auc
    )


def _train_trees(crowd: Crowd) -> float:
    # Why here: only this comparison needs LightGBM.
    from lookalikes.references import trees  # noqa: PLC0415

    rows = columns_of(crowd.base, list(crowd.traits.values())).tocsr()
    ordinals = ordinals_of(crowd.base)
    is_seed, fold = np.isin(ordinals, ordinals_of(crowd.seed)), fold_of(ordinals)
    begun = time.process_time()
    trees(rows, is_seed, fold)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
