#!/usr/bin/env python3
"""Makes metrics.json: scores of small made-up feature sets, by other people's code.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 prdc==0.2
    python3 metrics.py > metrics.json

The features come from splitmix64 and a few exact float operations, which the
Rust test repeats, so only the scores are stored. Fréchet distance: numpy's
nuclear norm, and scipy's matrix square root agrees. Kernel distance: scikit-learn's polynomial kernel.
Precision, recall, density, coverage: prdc, the code of Naeem et al. 2020.
"""

import contextlib
import json
import sys

import numpy
import prdc
import scipy.linalg
from sklearn.metrics.pairwise import polynomial_kernel

MASK = (1 << 64) - 1


def splitmix64(seed):
    """Uniform numbers in [0, 1)."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
        yield (z >> 11) / (1 << 53)


def features(seed, count, dim, scale, shift, rectify):
    """Correlated features: each adds half of the one before it."""
    random = splitmix64(seed)
    rows = []
    for _ in range(count):
        row, before = [], 0.0
        for _ in range(dim):
            before = 0.5 * before + (next(random) - 0.5)
            value = before * scale + shift
            row.append(max(value, 0.0) if rectify else value)
        rows.append(row)
    return numpy.array(rows)


def frechet(real, fake):
    """The trace of the root is a nuclear norm of the centred features, which
    needs no root of a matrix and is exact for singular covariances too."""
    c1, c2 = real - real.mean(axis=0), fake - fake.mean(axis=0)
    n1, n2 = len(real) - 1, len(fake) - 1
    overlap = numpy.linalg.norm(c1 @ c2.T, "nuc") / numpy.sqrt(n1 * n2)
    gap = real.mean(axis=0) - fake.mean(axis=0)
    value = gap @ gap + (c1**2).sum() / n1 + (c2**2).sum() / n2 - 2.0 * overlap
    if min(n1, n2) >= real.shape[1]:
        assert abs(value - frechet_by_root(real, fake)) < 1e-9 * (1.0 + value)
    return float(value)


def frechet_by_root(real, fake):
    s1, s2 = numpy.cov(real, rowvar=False), numpy.cov(fake, rowvar=False)
    root = scipy.linalg.sqrtm(s1 @ s2).real
    gap = real.mean(axis=0) - fake.mean(axis=0)
    return float(gap @ gap + numpy.trace(s1 + s2 - 2.0 * root))


def kid(real, fake):
    def kernel(x, y):
        return polynomial_kernel(x, y, degree=3, gamma=1.0 / x.shape[1], coef0=1.0)

    def within(x):
        k = kernel(x, x)
        return (k.sum() - numpy.trace(k)) / (len(x) * (len(x) - 1))

    return float(within(real) + within(fake) - 2.0 * kernel(real, fake).mean())


def scores(real, fake):
    with contextlib.redirect_stdout(sys.stderr):
        near = prdc.compute_prdc(real, fake, nearest_k=5)
    near = {name: float(value) for name, value in near.items()}
    return {"frechet": frechet(real, fake), "kid": kid(real, fake), **near}


def case(name, dim, real, fake, rectify=False):
    made = [features(*part, rectify) for part in (
        (real[0], real[1], dim, *real[2:]), (fake[0], fake[1], dim, *fake[2:]))]
    return {"name": name, "dim": dim, "rectify": rectify,
            "real": real, "fake": fake, **scores(*made)}


# Each set: seed, count, scale, shift. Counts are chosen to need several blocks.
CASES = [
    case("equal distributions", 8, [1, 700, 1.0, 0.0], [2, 600, 1.0, 0.0]),
    case("shifted", 8, [3, 300, 1.0, 0.0], [4, 257, 1.0, 0.4]),
    case("collapsed", 6, [5, 300, 1.0, 0.0], [6, 300, 0.3, 0.1]),
    case("spread out", 6, [7, 256, 1.0, 0.0], [8, 256, 2.5, 0.0]),
    case("rectified", 32, [9, 520, 1.0, 0.1], [10, 400, 1.2, 0.05], rectify=True),
    case("far from the origin", 8, [11, 300, 1.0, 50.0], [12, 300, 1.1, 50.2]),
    case("fewer images than features", 24, [13, 12, 1.0, 0.0], [14, 15, 1.5, 0.2]),
]

print(json.dumps(CASES, indent=1))
