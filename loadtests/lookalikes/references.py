"""What lookalikes are compared with: gradient-boosted trees, and a regression told its strength.

In come rows of traits and who is seed; out come scores of everybody. Both are cross-fitted: whoever
is ranked was never 'not seed' to the model that scores it.
"""

from collections.abc import Callable
from typing import Any, Final

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

STRENGTHS: Final = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
TREES: Final = 120
PARAMETERS: Final = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "num_threads": 1,
    "verbose": -1,
    "seed": 1,
}

Scores = NDArray[np.float64]


def trees(
    rows: csr_matrix, is_seed: NDArray[np.bool_], fold: NDArray[np.uint8], count: int = TREES
) -> Scores:
    """Score everybody by LightGBM."""

    def fit(train: NDArray[np.bool_]) -> Callable[[csr_matrix], Any]:
        data = lightgbm.Dataset(rows[train], label=is_seed[train].astype(np.float64))
        model = lightgbm.train(PARAMETERS, data, num_boost_round=count)
        return lambda ranked: model.predict(ranked, raw_score=True)

    return _cross_fitted(rows, is_seed, fold, fit)


def regression(
    rows: csr_matrix, is_seed: NDArray[np.bool_], fold: NDArray[np.uint8], strength: float
) -> Scores:
    """Score everybody by scikit-learn's logistic regression on all traits."""

    def fit(train: NDArray[np.bool_]) -> Callable[[csr_matrix], Any]:
        model = LogisticRegression(C=strength, class_weight="balanced", solver="liblinear")
        model.fit(rows[train], is_seed[train])
        return model.decision_function

    return _cross_fitted(rows, is_seed, fold, fit)


def _cross_fitted(
    rows: csr_matrix,
    is_seed: NDArray[np.bool_],
    fold: NDArray[np.uint8],
    fit: Callable[[NDArray[np.bool_]], Callable[[csr_matrix], Any]],
) -> Scores:
    scores = np.zeros(rows.shape[0])
    for each in np.unique(fold):
        own = fold == each
        scores[own] = fit(is_seed | ~own)(rows[own])
    return scores
