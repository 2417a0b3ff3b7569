"""The measures of the hold-out, against counting by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.lookalike_weights import LookalikeMethod
from audiences.lookalikes.holdout import HoldOuts, Repeat, auc, recall_at
from audiences.lookalikes.panel import OTHERS_SAMPLED_MAX, SEED_SAMPLED_MAX, draw_panel

scored = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: len({hidden for _, hidden in rows}) == 2
)


@given(scored)
def test_auc_counts_pairs(rows: list[tuple[int, bool]]) -> None:
    """AUC is the share of pairs in which the hidden person stands above, ties half."""
    scores = np.array([score for score, _ in rows], dtype=np.float64)
    hidden = np.array([is_hidden for _, is_hidden in rows])
    pairs = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in scores[hidden]
        for low in scores[~hidden]
    ]
    assert auc(scores, hidden) == pytest.approx(np.mean(pairs))


@given(scored, st.floats(0.01, 1.0))
def test_recall_counts_the_best(rows: list[tuple[int, bool]], share: float) -> None:
    """Recall is the share of the hidden among the first so many, whoever is first of equals."""
    scores = np.array([score for score, _ in rows], dtype=np.float64)
    hidden = np.array([is_hidden for _, is_hidden in rows])
    taken = int(np.floor(share * len(rows) + 0.5))
    bounds = []
    for favour in (1, -1):
        best = sorted(range(len(rows)), key=lambda i: (-scores[i], favour * hidden[i]))
        bounds.append(hidden[best[:taken]].sum() / hidden.sum())
    (found,) = recall_at(scores, hidden, np.ones(len(rows)), [share])
    assert bounds[0] - 1e-9 <= found <= bounds[1] + 1e-9


def test_sampled_people_stand_for_many() -> None:
    """Others that stand for ten people each fill the best share ten times as fast."""
    scores = np.arange(100, dtype=np.float64)
    hidden = np.arange(100) < 50
    stands_for = np.where(hidden, 1.0, 10.0)
    assert recall_at(scores, hidden, stands_for, [500 / 550, 1.0]) == [0.0, 1.0]


def test_big_crowds_are_sampled() -> None:
    """A panel is bounded, and says how many people each on it stands for."""
    seed = BitMap(range(1, 1 + 2 * SEED_SAMPLED_MAX))
    others = BitMap(range(1_000_000, 1_000_000 + 3 * OTHERS_SAMPLED_MAX))
    trait = BitMap(range(1, 2_000_000, 2))
    panel = draw_panel(seed, others, [trait], np.random.default_rng(1))
    assert int(panel.is_seed.sum()) == SEED_SAMPLED_MAX
    assert len(panel.ordinals) == SEED_SAMPLED_MAX + OTHERS_SAMPLED_MAX
    assert (panel.seed_stands_for, panel.other_stands_for) == (2.0, 3.0)
    assert panel.rows.toarray()[:, 0].astype(bool).tolist() == (panel.ordinals % 2 == 1).tolist()


def ranked(**offsets: float) -> Repeat:
    """Rank ten hidden among a hundred; a method's offset is how far it lifts the hidden."""
    hidden = np.arange(110) < 10
    rng = np.random.default_rng(3)
    noise = rng.normal(size=110)
    return Repeat(
        hidden=hidden,
        stands_for=np.ones(110),
        scores={name: noise + offset * hidden for name, offset in offsets.items()},
        by_strength=np.zeros((0, 0)),
    )


CHOICES = [
    pytest.param([1.0, 1.0, 1.0], "logodds", id="better each time"),
    pytest.param([1.0, 1.0, -0.5], "iv", id="worse once"),
    pytest.param([0.0, 0.0, 0.0], "iv", id="the same"),
]


@pytest.mark.parametrize(("gains", "chosen"), CHOICES)
def test_another_method_must_win_every_time(gains: list[float], chosen: str) -> None:
    """The first method stands unless another found more of the hidden in all repeats."""
    trials = HoldOuts(
        repeats=tuple(ranked(iv=1.0, logodds=1.0 + gain) for gain in gains), strength=0
    )
    assert trials.best([LookalikeMethod.IV, LookalikeMethod.LOGODDS]) == chosen
