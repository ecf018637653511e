"""Loops over months and scenarios: arrays in, arrays out. Checking and naming is done by who calls.

Loads are logarithms, so that a draw costs no exponential and a crossing no logarithm. Arrays of loads have a row a
month, so that the innermost loops run along memory; `part` says from which scenario to which: threads share arrays.
Plain Python: what `capacity.planning.scenario_kernels` compiles, and what runs as it is where scenarios are few.
"""

from __future__ import annotations

import math

import numpy as np

NEAR = 1e-9
"""Relative distance to a whole number within which a count is left to exact arithmetic."""
SAME = 1e-12
"""Relative difference within which a load is what a fleet carries, and does not exceed it."""
BLOCK = 2_048
"""Scenarios whose state stays in the processor's nearest memory."""


def growth_paths(log_mid, up, down, position, out, part):
    """Logarithms of peaks by month and scenario: each path keeps its position in every month's range."""
    for month in range(log_mid.size):
        mid, above, below = log_mid[month], up[month], down[month]
        for scenario in range(part[0], part[1]):
            place = position[scenario]
            out[month, scenario] = mid + place * (above if place >= 0.0 else below)


def wandering_paths(log_mid, spreads, position, out, part):
    """The same with positions by month and scenario, and another spread from `errors` on."""
    up, down, beyond, errors = spreads
    for month in range(log_mid.size):
        for scenario in range(part[0], part[1]):
            place = position[month, scenario]
            past = max(place - errors[month], 0.0)
            above = up[month] * (place - past) + beyond[month] * past
            out[month, scenario] = log_mid[month] + (above if place >= 0.0 else down[month] * place)


def first_passages(log_peaks, log_capacity, log_sizes, is_geometric, out, part):
    """Months at which the load first exceeds fleets of ascending sizes; infinite where it never does.

    Between two months the load moves geometrically or along a line, as between stated points of a growth.
    """
    months, number = log_peaks.shape[0], log_sizes.size
    for scenario in range(part[0], part[1]):
        one, place, before = log_capacity[scenario], 0, 0.0
        for month in range(months):
            load = log_peaks[month, scenario] - one
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


def count_instances(log_peaks, log_capacity, log_carried, guesses, histogram, found, part):
    """Count scenarios by month and instances needed; return how many are left as unsure.

    `log_carried` at n: what n instances carry over the safety factor, over one instance's capacity; ascending.
    `guesses`: the least load that may come, equal parts per unit above it, and how many instances each part needs;
    below 0 where it needs at least so many. `found`: room for the parts of a block, and flags of what is unsure.
    """
    first, scale, counts = guesses
    parts, unsure = found
    left, top, last = 0, log_carried.size - 1, counts.size - 1.0
    for month in range(log_peaks.shape[0]):
        for begin in range(part[0], part[1], BLOCK):
            size = min(BLOCK, part[1] - begin)
            for one in range(size):  # by itself, so that several run at once
                load = log_peaks[month, begin + one] - log_capacity[begin + one]
                parts[one] = np.int32(min(max((load - first) * scale, 0.0), last))
            for one in range(size):
                count = int(counts[parts[one]])
                if count < 0:
                    load = log_peaks[month, begin + one] - log_capacity[begin + one]
                    if load >= log_carried[top]:  # more than are counted one by one
                        histogram[month, top] += 1
                        continue
                    count = -count
                    while count < top and load > log_carried[count]:
                        count += 1
                    while count > 1 and load <= log_carried[count - 1]:
                        count -= 1
                    if not log_carried[count - 1] + NEAR < load < log_carried[count] - NEAR:
                        unsure[month, begin + one] = True
                        left += 1
                        continue
                histogram[month, count] += 1
    return left


def count_phases(log_peaks, log_capacity, log_maximum, rules, histogram, part):
    """Count scenarios by month and phase (vertical, horizontal, autoscaling) by the rules of the timeline.

    `log_maximum`: of one instance, by scenario. `rules`: high factor, lead time in whole months.
    """
    factor, lead = rules[0], int(rules[1])
    months = log_peaks.shape[0]
    for scenario in range(part[0], part[1]):
        one, phase, log_spare = log_capacity[scenario], 0, 0.0
        for month in range(months):
            load = log_peaks[month, scenario] - one
            if phase == 0 and log_peaks[month, scenario] >= log_maximum[scenario] - SAME:
                phase = 1
                fleet = math.ceil(math.exp(load) * factor * (1.0 - NEAR))
                log_spare = math.log(fleet - 1.0) if fleet > 1 else -math.inf
            if phase == 1:
                for ahead in range(month, min(month + lead + 1, months)):
                    if log_peaks[ahead, scenario] - one > log_spare + SAME:
                        phase = 2
            histogram[month, phase] += 1
