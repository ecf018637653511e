"""How severe an incident is."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.thresholds import IncidentProfile, IncidentRule, severity
from loadtests.foundation.errors import InputError

P0, P1, P2, P3 = IncidentProfile.guide().rules


@pytest.mark.parametrize(
    ("error_rate", "degradation", "expected"),
    [
        (0.0, 0.0, "P3"),
        (0.009, 0.19, "P3"),
        (0.01, 0.0, "P2"),  # "1-5 %" against "< 1 %"
        (0.0, 0.20, "P2"),
        (0.049, 0.49, "P2"),
        (0.05, 0.0, "P1"),  # "1-5 %" against "> 5 %": the edge belongs to the worse
        (0.0, 0.50, "P1"),
        (0.02, 0.60, "P1"),
        (0.06, 0.10, "P1"),
        (0.0, 7.0, "P1"),
        (1.0, 0.0, "P1"),
    ],
)
def test_the_worse_of_both_shares_decides(error_rate: float, degradation: float, expected: str) -> None:
    assert severity(error_rate, degradation) == expected


def test_a_service_that_is_down_is_p0_whatever_the_shares() -> None:
    assert severity(0.0, 0.0, is_down=True) == severity(1.0, 9.0, is_down=True) == "P0"


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 100), st.floats(0, 100))
def test_more_errors_or_more_degradation_never_make_it_milder(a: float, b: float, c: float, d: float) -> None:
    assert severity(max(a, b), max(c, d)) <= severity(min(a, b), min(c, d))


def test_ones_own_rules_replace_the_guides() -> None:
    strict = IncidentProfile("strict", (P0, IncidentRule("P1", 0.01, 0.2, 60), IncidentRule("P2", 0.001, 0.1, 600), P3))
    assert severity(0.01, profile=strict) == "P1"
    assert strict.rule("P1").respond_within_s == 60


@pytest.mark.parametrize(
    ("shares", "named"),
    [
        ((math.nan, 0), "error_rate is nan"),
        ((-0.1, 0), "error_rate is -0.1; it must be 0 or more"),
        ((5, 0), "error_rate is 5; it must be a share of at most 1"),
        (("0.1", 0), "error_rate is '0.1'; it must be a number"),
        ((0, math.nan), "degradation is nan"),
        ((0, math.inf), "degradation is inf"),
        ((0, -0.1), "degradation is -0.1; it must be 0 or more"),
    ],
)
def test_shares_that_cannot_be_are_refused(shares: tuple[Any, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        severity(*shares)
    with pytest.raises(InputError, match=named):
        severity(*shares, is_down=True)


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (("P4",), "severity is 'P4'; it must be one of P0, P1, P2, P3"),
        (("P1",), "P1 states no edge; it must state error_rate_from and degradation_from"),
        (("P2", 0.1), "P2 states error_rate_from; it must state error_rate_from and degradation_from"),
        (("P0", 0.1, 0.1), "must state none: P0 is a service that is down"),
        (("P1", 5, 0.1), "error_rate_from of P1 is 5; it must be a share"),
        (("P1", 0.1, -1), "degradation_from of P1 is -1"),
        (("P3", None, None, -1), "respond_within_s of P3 is -1"),
        (("P3", None, None, math.nan), "finite"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: tuple[Any, ...], named: str) -> None:
    with pytest.raises(InputError, match=named):
        IncidentRule(*rule)


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ((), "has the severities none; it must have P0, P1, P2, P3"),
        ((P0, P1, P3), "has the severities P0, P1, P3"),
        ((P0, P2, P1, P3), "each once and in this order"),
        ((P0, P1, IncidentRule("P2", 0.06, 0.2), P3), "error_rate_from is 0.05 for P1 and 0.06 for P2; that of P2"),
        ((P0, P1, IncidentRule("P2", 0.01, 0.5), P3), "degradation_from is 0.5 for P1 and 0.5 for P2"),
        ((P0, P1, IncidentRule("P2", 0.0, 0.2), P3), "that of P2 must be above 0"),
    ],
)
def test_severities_are_complete_and_in_order(rules: tuple[IncidentRule, ...], named: str) -> None:
    with pytest.raises(InputError, match=named):
        IncidentProfile("own", rules)
