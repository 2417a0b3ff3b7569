"""Tells how well lookalikes find people who will do a thing, beside what costs far more.

Real households, twelve things they did later: half of those who did are the seed, the other half is
looked for among everybody. Each method ranks everybody; gradient-boosted trees and a logistic
regression whose strength was chosen on the answers are the measure. Ends with exit code 1 when a
bar of quality is missed.

CPU is of one thread. Ours is all of it: traits counted, five methods tried on three hidden parts
of the seed, everybody ranked. The trees' is of one cross-fit that ranks everybody, and, as a report
on them would need one more for each hidden part, of four ("the same work"). Of so few people most
of ours is the report's and does not grow: `how_fast_are_lookalikes.py --trees` compares where it
matters.

    uv run --group loadtests python loadtests/how_good_are_lookalikes.py [--splits 3] [--write]
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
from lookalikes import references
from lookalikes.households import Households, Task, read_households
from lookalikes.one_thread import keep_to_one_thread
from numpy.typing import NDArray
from pyroaring import BitMap
from readme_row import write_row

from audiences.lookalike_weights import LookalikeMethod
from audiences.lookalikes.holdout import REPEATS, auc
from audiences.lookalikes.ranges import columns_of, fold_of
from audiences.lookalikes.report import Baseline
from audiences.lookalikes.study import Study, study_seed
from audiences.lookalikes.traits import gather_traits
from matching.bitmaps import bitmap_of, ordinals_of

SPLITS: Final = 3
TREES_AUC_BAR: Final = 0.97
ORACLE_WORST_BAR: Final = 0.97
ORACLE_MEDIAN_BAR: Final = 0.99
MINHASH_LIFT_BAR: Final = 1.5
HONESTY_BAR: Final = 0.07
ORACLE: Final = "regression, oracle"
TREES: Final = "LightGBM"
OURS: Final = [each.value for each in LookalikeMethod]
ACTIVITY: Final = Baseline.ACTIVITY_ONLY.value


class Found(msgspec.Struct, kw_only=True):
    """What one way of ranking found in one split of one task."""

    auc: float
    lift: float
    seconds: float


Results = defaultdict[str, defaultdict[str, list[Found]]]


def main() -> None:
    """Rank every task by every method and print the table."""
    keep_to_one_thread()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--splits", type=int, default=SPLITS)
    options.add_argument("--ours-only", action="store_true", help="leave the references out")
    options.add_argument("--write", action="store_true")
    asked = options.parse_args()
    households = read_households()
    results: Results = defaultdict(lambda: defaultdict(list))
    told: list[tuple[float, float]] = []
    for task in households.tasks:
        for split in range(asked.splits):
            _try_split(households, task, split, results, told, references_too=not asked.ours_only)
    _print_table(households, results, told)
    if asked.ours_only:
        return
    _pick_oracle(results)
    figure, held = _verdict(results, told)
    print(figure)
    if asked.write:
        write_row(__file__, figure, "LightGBM 4")
    sys.exit(not held)


def _try_split(
    households: Households,
    task: Task,
    split: int,
    results: Results,
    told: list[tuple[float, float]],
    *,
    references_too: bool,
) -> None:
    rng = np.random.default_rng(1_000 + split)
    positives = ordinals_of(task.positives)
    seed = bitmap_of(rng.choice(positives, len(positives) // 2, replace=False))
    hidden = task.positives - seed
    for method in LookalikeMethod:
        begun = time.process_time()
        known = gather_traits(households.traits, seed=seed, base=task.base)
        study = study_seed(
            method,
            known,
            seed=seed,
            candidates=task.base - seed,
            rng=np.random.default_rng(split),
        )
        seconds = time.process_time() - begun
        found = _measure(study.ranking.ordinals, study.ranking.scores, hidden, seconds)
        results[method.value][task.key].append(found)
        if method is LookalikeMethod.AUTO:
            told.append((float(study.trials.aucs(study.method).mean()), found.auc))
            _try_activity(study, hidden, results[ACTIVITY][task.key])
    if references_too:
        _try_references(households, task, seed, hidden, results)


def _try_activity(study: Study, hidden: BitMap, results: list[Found]) -> None:
    people = bitmap_of(study.ranking.ordinals)
    held = np.diff(columns_of(people, study.known.bitmaps).tocsr().indptr)
    results.append(_measure(study.ranking.ordinals, held, hidden, 0.0))


def _try_references(
    households: Households, task: Task, seed: BitMap, hidden: BitMap, results: Results
) -> None:
    known = gather_traits(households.traits, seed=seed, base=task.base)
    rows = columns_of(task.base, known.bitmaps).tocsr()
    ordinals = ordinals_of(task.base)
    is_seed, fold = np.isin(ordinals, ordinals_of(seed)), fold_of(ordinals)

    def measure(name: str, score: Callable[[], NDArray[Any]]) -> None:
        begun = time.process_time()
        scores = score()
        seconds = time.process_time() - begun
        found = _measure(ordinals[~is_seed], scores[~is_seed], hidden, seconds)
        results[name][task.key].append(found)

    measure(TREES, lambda: references.trees(rows, is_seed, fold))
    for strength in references.STRENGTHS:

        def score(strength: float = strength) -> NDArray[Any]:
            return references.regression(rows, is_seed, fold, strength)

        measure(f"regression, C={strength}", score)


def _measure(
    ordinals: NDArray[np.uint32], scores: NDArray[Any], hidden: BitMap, seconds: float
) -> Found:
    is_hidden = np.isin(ordinals, ordinals_of(hidden))
    best = np.argsort(-scores, kind="stable")[: round(len(scores) * 0.05)]
    return Found(
        auc=auc(scores, is_hidden),
        lift=float(is_hidden[best].mean() / is_hidden.mean()),
        seconds=seconds,
    )


def _pick_oracle(results: Results) -> None:
    """Take for each task the strength that the answers say is best."""
    strengths = [name for name in results if name.startswith("regression, C=")]
    for task in results[TREES]:
        best = max(strengths, key=lambda name: _mean(results[name][task], "auc"))
        results[ORACLE][task] = results[best][task]


def _print_table(households: Households, results: Results, told: list[tuple[float, float]]) -> None:
    if TREES in results:
        _pick_oracle(results)
    names = [*OURS, ACTIVITY, *(name for name in results if name not in {*OURS, ACTIVITY})]
    print(f"{'AUC (lift at 5 %)':<30}" + "".join(f"{name[:18]:>19}" for name in names))
    for task in households.tasks:
        cells = [results[name][task.key] for name in names]
        shown = (f"{_mean(cell, 'auc'):.3f} ({_mean(cell, 'lift'):.1f})" for cell in cells)
        print(f"{task.key[:30]:<30}" + "".join(f"{each:>19}" for each in shown))
    for field in ("auc", "lift", "seconds"):
        means = (_mean_of_tasks(results[name], field) for name in names)
        print(f"{'mean ' + field:<30}" + "".join(f"{each:>19.3f}" for each in means))
    away = np.array([said - true for said, true in told])
    print(f"told beside true AUC of auto: {away.mean():+.3f}, {np.abs(away).mean():.3f} away")


def _verdict(results: Results, told: list[tuple[float, float]]) -> tuple[str, bool]:
    ours, trees, oracle = results["auto"], results[TREES], results[ORACLE]
    of_trees = _mean_of_tasks(ours, "auc") / _mean_of_tasks(trees, "auc")
    cpu = _mean_of_tasks(ours, "seconds") / _mean_of_tasks(trees, "seconds")
    same_work = cpu / (1 + REPEATS)
    of_oracle = [_mean(ours[task], "auc") / _mean(oracle[task], "auc") for task in ours]
    lift = _mean_of_tasks(ours, "lift") / _mean_of_tasks(results["minhash"], "lift")
    away = float(np.mean([abs(said - true) for said, true in told]))
    figure = (
        f"mean AUC of `auto` {_mean_of_tasks(ours, 'auc'):.3f} over {len(ours)} tasks: "
        f"{of_trees:.3f} of LightGBM's at {cpu:.3f} of its CPU with the report, {same_work:.3f} "
        f"for the same work; of a regression told its best strength {np.median(of_oracle):.3f} in "
        f"the median, {min(of_oracle):.3f} at "
        f"worst; lift at 5 % {lift:.2f} times that of MinHash; told AUC {away:.3f} from the truth"
    )
    held = (
        of_trees >= TREES_AUC_BAR
        and min(of_oracle) >= ORACLE_WORST_BAR
        and np.median(of_oracle) >= ORACLE_MEDIAN_BAR
        and lift >= MINHASH_LIFT_BAR
        and away <= HONESTY_BAR
    )
    return figure, bool(held)


def _mean(found: list[Found], field: str) -> float:
    return float(np.mean([getattr(each, field) for each in found]))


def _mean_of_tasks(results: dict[str, list[Found]], field: str) -> float:
    return float(np.mean([_mean(found, field) for found in results.values()]))


if __name__ == "__main__":
    main()
