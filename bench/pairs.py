# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparisons by neighbours: A B B A quads, the median of their ratios (or differences), its bootstrap interval, and a verdict.

A quad's value is (B1 + B2) / (A1 + A2), or the difference of the means: what drifts slowly concerns both alike.
"""
import json
import random
import statistics

RESAMPLES = 4000


def ratio(a1, b1, b2, a2):
    return (b1 + b2) / (a1 + a2)


def difference(a1, b1, b2, a2):
    return (b1 + b2 - a1 - a2) / 2


def quad(measure, a, b, combine=ratio):
    """measure(x) makes one measurement of x."""
    return combine(measure(a), measure(b), measure(b), measure(a))


def interval(values, seed=1):
    """The median and the 95 % interval of it, by bootstrap."""
    rng = random.Random(seed)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return statistics.median(values), medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES) - 1]


def at_least(bounds, goal, null=None):
    """The interval decides: holds only beside a null run that shows 1, fails only where no null run's error explains it."""
    _, low, high = bounds
    if high / min(1.0, null[1] if null else 1.0) < goal:
        return "fails"
    return "holds" if low >= goal and (not null or (0.98 <= null[1] and null[2] <= 1.02)) else "undecided"


def text(bounds, digits=3):
    return f"{bounds[0]:.{digits}f} (95 % {bounds[1]:.{digits}f} to {bounds[2]:.{digits}f})"


def row(name, value, unit, reference, goal, samples):
    print(json.dumps({"name": name, "value": value, "unit": unit, "reference": reference, "goal": goal,
                      "samples": samples}), flush=True)
