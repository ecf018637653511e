"""Loops over scenarios and months: arrays in, arrays out. Checking and naming is done by who calls.

Loads are logarithms, so that a draw costs no exponential and a crossing no logarithm. Plain Python: what
`capacity.planning.scenario_kernels` compiles, and what runs as it is where scenarios are few.
"""

from __future__ import annotations

import math

NEAR = 1e-9
"""Relative distance to a whole number within which a count is left to exact arithmetic."""
SAME = 1e-12
"""Relative difference within which a load is what a fleet carries, and does not exceed it."""


def growth_paths(log_mid, up, down, position, out):
    """Logarithms of peaks by scenario and month: each path keeps its position in every month's range."""
    months = log_mid.size
    for scenario in range(position.size):
        place = position[scenario]
        spread = up if place >= 0.0 else down
        for month in range(months):
            out[scenario, month] = log_mid[month] + place * spread[month]


def wandering_paths(log_mid, spreads, position, out):
    """The same with a position of its own for each month, and another spread from `errors` on."""
    up, down, beyond, errors = spreads
    for scenario in range(position.shape[0]):
        for month in range(log_mid.size):
            place = position[scenario, month]
            if place < 0.0:
                moved = place * down[month]
            elif place <= errors[month]:
                moved = place * up[month]
            else:
                moved = errors[month] * up[month] + (place - errors[month]) * beyond[month]
            out[scenario, month] = log_mid[month] + moved


def first_passages(log_peaks, log_capacity, log_sizes, is_geometric, out):
    """Months at which the load first exceeds fleets of ascending sizes; infinite where it never does.

    Between two months the load moves geometrically or along a line, as between stated points of a growth.
    """
    months, number = log_peaks.shape[1], log_sizes.size
    for scenario in range(log_peaks.shape[0]):
        one, place, before = log_capacity[scenario], 0, 0.0
        for month in range(months):
            load = log_peaks[scenario, month] - one
            while place < number and load > log_sizes[place] + SAME:
                at = 0.0
                if month > 0:
                    level, rise = log_sizes[place] - before, load - before
                    if is_geometric:
                        at = month - 1 + max(level, 0.0) / rise
                    else:
                        at = month - 1 + max(math.expm1(level), 0.0) / math.expm1(rise)
                out[scenario, place] = at
                place += 1
            if place == number:
                break
            before = load
        for rest in range(place, number):
            out[scenario, rest] = math.inf


def count_instances(log_peaks, log_capacity, log_carried, guesses, histogram, unsure):
    """Count scenarios by month and instances needed; return how many are left as unsure.

    `log_carried` at n: what n instances carry over the safety factor, over one instance's capacity; ascending.
    `guesses`: the least and most load that may come, and how many instances each of equal parts between needs at least.
    """
    first, last, counts = guesses
    left, top, parts = 0, log_carried.size - 1, counts.size
    scale = parts / (last - first) if last > first else 0.0
    for scenario in range(log_peaks.shape[0]):
        one = log_capacity[scenario]
        for month in range(log_peaks.shape[1]):
            load = log_peaks[scenario, month] - one
            if load >= log_carried[top]:  # more than are counted one by one
                histogram[month, top] += 1
                continue
            count = counts[min(max(int((load - first) * scale), 0), parts - 1)]
            while count < top and load > log_carried[count]:
                count += 1
            while count > 1 and load <= log_carried[count - 1]:
                count -= 1
            if log_carried[count - 1] + NEAR < load < log_carried[count] - NEAR:
                histogram[month, count] += 1
            else:
                unsure[scenario, month] = True
                left += 1
    return left


def count_phases(log_peaks, log_capacity, log_maximum, rules, histogram):
    """Count scenarios by month and phase (vertical, horizontal, autoscaling) by the rules of the timeline.

    `log_maximum`: of one instance, by scenario. `rules`: high factor, lead time in whole months.
    """
    factor, lead = rules[0], int(rules[1])
    months = log_peaks.shape[1]
    for scenario in range(log_peaks.shape[0]):
        one, phase, log_spare = log_capacity[scenario], 0, 0.0
        for month in range(months):
            load = log_peaks[scenario, month] - one
            if phase == 0 and log_peaks[scenario, month] >= log_maximum[scenario] - SAME:
                phase = 1
                fleet = math.ceil(math.exp(load) * factor * (1.0 - NEAR))
                log_spare = math.log(fleet - 1.0) if fleet > 1 else -math.inf
            if phase == 1:
                for ahead in range(month, min(month + lead + 1, months)):
                    if log_peaks[scenario, ahead] - one > log_spare + SAME:
                        phase = 2
            histogram[month, phase] += 1
