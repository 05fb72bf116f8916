"""Statistics as rliable and SciPy compute them, for tests/statistics.rs.

    pip install rliable==1.2.0 scipy==1.17.1 statsmodels==0.15.0 'pandas<3'
    python rliable_statistics.py > rliable_statistics.json
"""

import json
import sys

import numpy as np
from rliable import library, metrics
from scipy import stats
from statsmodels.stats.multitest import multipletests

REPS = 50_000


def interval(scores, function):
    """The point estimate and rliable's 95 % percentile interval."""
    np.random.seed(0)
    point, bounds = library.get_interval_estimates(
        {"x": scores}, lambda *arrays: np.array([function(*arrays)]), reps=REPS
    )
    return [float(point["x"][0]), float(bounds["x"][0][0]), float(bounds["x"][1][0])]


def by_task(scores):
    """Tasks first, as the Rust side has them."""
    return scores.T.tolist()


def p_of_flips(x, y):
    """The exact two-sided p-value of flipping the signs of paired differences."""
    result = stats.permutation_test(
        (x - y,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    return float(result.pvalue)


def main():
    rng = np.random.default_rng(7)
    # Runs by tasks, of unequal spread, with ties and one run far off.
    x = np.round(rng.normal([1.0, 5.0, -2.0], [0.5, 2.0, 0.3], (10, 3)), 1)
    y = np.round(rng.normal([0.8, 4.0, -2.0], [0.5, 2.0, 0.3], (10, 3)), 1)
    x[3, 1] = -40.0
    taus = [-3.0, -2.0, 0.0, 0.8, 1.0, 4.0, 6.5]
    few = [rng.normal(size=count) for count in range(1, 13)]
    p_values = [0.01, 0.04, 0.03, 0.005, 0.5, 0.04]
    json.dump(
        {
            "x": by_task(x),
            "y": by_task(y),
            "iqm": interval(x, metrics.aggregate_iqm),
            "iqm_of_a_task": interval(x[:, :1], metrics.aggregate_iqm),
            "probability": interval((x, y), metrics.probability_of_improvement),
            "probability_of_a_task": interval((x[:, :1], y[:, :1]), metrics.probability_of_improvement),
            "trimmed": [
                {"values": values.tolist(), "mean": float(stats.trim_mean(values, 0.25))} for values in few
            ],
            "taus": taus,
            # rliable asks for "above", osn for "at or above".
            "profile": [float(np.mean(x >= tau)) for tau in taus],
            "flips": [
                {"differences": (x[:, task] - y[:, task]).tolist(), "p": p_of_flips(x[:, task], y[:, task])}
                for task in range(3)
            ],
            "p_values": p_values,
            "holm": multipletests(p_values, method="holm")[1].tolist(),
        },
        fp=sys.stdout,
        indent=1,
    )
    print()


if __name__ == "__main__":
    main()
