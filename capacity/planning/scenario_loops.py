"""Loops over months and scenarios: arrays in, arrays out. Checking and naming is done by who calls.

Loads are logarithms, so that a draw costs no exponential and a crossing no logarithm. `paths` are the curves and
positions of `capacity.planning.growth_paths`: a load is made where it is needed, since writing all of them takes longer
than making them twice. `part` says from which scenario to which: threads share arrays.
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


def curve_of(curves, month):
    """Middle, up, down, more and errors of a month (`capacity.planning.growth_paths`)."""
    return curves[month, 0], curves[month, 1], curves[month, 2], curves[month, 3], curves[month, 4]


def load_at(curve, place):
    """Logarithm of a month's peak at a position in its range."""
    mid, up, down, more, errors = curve
    return mid + place * (up if place >= 0.0 else down) + more * max(place - errors, 0.0)


def first_passages(paths, log_capacity, log_sizes, is_geometric, out, part):
    """Months at which the load first exceeds what fleets of ascending sizes carry; infinite where it never does.

    Between two months the load moves geometrically or along a line, as between stated points of a growth.
    """
    curves, position = paths
    last, number = position.shape[0] - 1, log_sizes.size
    for scenario in range(part[0], part[1]):
        one, size, before, limit = log_capacity[scenario], 0, 0.0, log_sizes[0] + SAME
        for month in range(curves.shape[0]):
            load = load_at(curve_of(curves, month), position[min(month, last), scenario]) - one
            while load > limit:
                at = 0.0
                if month > 0:
                    level, rise = log_sizes[size] - before, load - before
                    if is_geometric:
                        at = month - 1 + max(level, 0.0) / rise
                    else:
                        at = month - 1 + max(math.expm1(level), 0.0) / math.expm1(rise)
                out[scenario, size] = at
                size += 1
                limit = log_sizes[size] + SAME if size < number else math.inf
            if size == number:
                break
            before = load
        for rest in range(size, number):
            out[scenario, rest] = math.inf


def count_instances(paths, log_capacity, log_carried, guesses, histogram, rooms, part):
    """Count scenarios by month and instances needed; return how many are left as unsure.

    `log_carried` at n: what n instances carry over the safety factor, over one instance's capacity; it never falls.
    `guesses`: the least load that may come, equal parts per unit above it, and how many instances each part needs, 0
    where loads of it need different numbers. `rooms`: for the parts of a block, for its scenarios of different
    numbers, and for what is unsure, as month times all scenarios plus scenario; what has no room left is only numbered.
    """
    curves, position = paths
    first, scale, counts = guesses
    parts, rough, unsure = rooms
    left, top, last = 0, log_carried.size - 1, counts.size - 1.0
    for begin in range(part[0], part[1], BLOCK):
        end = min(begin + BLOCK, part[1])
        carries = log_capacity[begin:end]
        for month in range(curves.shape[0]):
            curve, many, counted = curve_of(curves, month), 0, histogram[month]
            places = position[min(month, position.shape[0] - 1), begin:end]
            for one in range(places.size):  # by itself and from 0, so that several run at once
                load = load_at(curve, places[one]) - carries[one]
                parts[one] = np.uint16(min(max((load - first) * scale, 0.0), last))
            for one in range(places.size):
                count = counts[parts[one]]
                counted[count] += 1
                if count == 0:
                    rough[many] = one
                    many += 1
            counted[0] = 0
            for one in rough[:many]:
                load = load_at(curve, places[one]) - carries[one]
                if load >= log_carried[top]:  # more than are counted one by one
                    counted[top] += 1
                    continue
                low, count = 0, top  # the first carries less than the load, the second does not
                while count - low > 1:
                    middle = (low + count) // 2
                    if load > log_carried[middle]:
                        low = middle
                    else:
                        count = middle
                if log_carried[low] + NEAR < load < log_carried[count] - NEAR:
                    counted[count] += 1
                    continue
                if left < unsure.size:
                    unsure[left] = month * log_capacity.size + begin + one
                left += 1
    return left


def count_phases(paths, log_capacity, log_maximum, rules, begun, part):
    """Count scenarios by the months in which their horizontal and their autoscaling phase begin.

    By the rules of the timeline. `log_maximum`: of one instance, by scenario. `rules`: high factor, lead time in whole
    months.
    """
    curves, position = paths
    factor, lead = rules[0], int(rules[1])
    months, last = curves.shape[0], position.shape[0] - 1
    for scenario in range(part[0], part[1]):
        one, is_horizontal, log_spare, ahead = log_capacity[scenario], False, 0.0, 0
        for month in range(months):
            if not is_horizontal:
                peak = load_at(curve_of(curves, month), position[min(month, last), scenario])
                if peak < log_maximum[scenario] - SAME:
                    continue
                fleet = math.ceil(math.exp(peak - one) * factor * (1.0 - NEAR))
                is_horizontal, ahead = True, month
                log_spare = math.log(fleet - 1.0) if fleet > 1 else -math.inf
                begun[month, 0] += 1
            is_exceeded = False
            while ahead < min(month + lead + 1, months) and not is_exceeded:
                load = load_at(curve_of(curves, ahead), position[min(ahead, last), scenario]) - one
                is_exceeded = load > log_spare + SAME
                ahead += 1
            if is_exceeded:
                begun[month, 1] += 1
                break
