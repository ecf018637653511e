"""Every threshold of the guide, against a table in the guide's own words and units."""

import pytest

from capacity.thresholds import BandProfile, IncidentProfile, ScalingProfile

PERCENT, MS, MINUTES, HOURS = 0.01, 0.001, 60, 3_600

DAILY = [
    ("throughput_rps", 50_000, 100_000),
    ("p95_s", 50 * MS, 200 * MS),
    ("error_rate", 0.1 * PERCENT, 1 * PERCENT),
    ("ccu_utilization_normal", 67 * PERCENT, 80 * PERCENT),
    ("queue_utilization", 50 * PERCENT, 80 * PERCENT),
]
ALERTS = [
    ("failed_health_checks", None, 1),
    ("error_rate", 1 * PERCENT, 5 * PERCENT),
    ("p95_s", 200 * MS, 500 * MS),
    ("ccu_utilization_normal", 80 * PERCENT, 95 * PERCENT),
    ("database_connection_failures", None, 1),
    ("queue_utilization", 80 * PERCENT, None),
    ("memory_utilization", 85 * PERCENT, None),
]
SCALING = [
    ("cpu_utilization", 70 * PERCENT, 5 * MINUTES, "scale"),
    ("memory_utilization", 80 * PERCENT, 5 * MINUTES, "scale"),
    ("ccu_utilization_normal", 80 * PERCENT, 5 * MINUTES, "scale"),
    ("queue_utilization", 80 * PERCENT, 5 * MINUTES, "scale"),
    ("error_rate", 1 * PERCENT, 1 * MINUTES, "investigate-and-scale"),
    ("p95_s", 200 * MS, 5 * MINUTES, "scale"),
]
INCIDENTS = [
    ("P0", None, None, 0),
    ("P1", 5 * PERCENT, 50 * PERCENT, 15 * MINUTES),
    ("P2", 1 * PERCENT, 20 * PERCENT, 1 * HOURS),
    ("P3", None, None, 4 * HOURS),
]
ON_AN_EDGE = [  # (profile, metric, value, level): the guide has no band for the value, or two
    ("daily", "throughput_rps", 50_000, "warning"),  # "< 50,000" is normal and "> 50,000" warning: none
    ("daily", "throughput_rps", 100_000, "critical"),  # "> 100,000" is critical
    ("daily", "p95_s", 0.050, "warning"),  # "< 50 ms" and "50-200 ms"
    ("daily", "p95_s", 0.200, "critical"),  # "50-200 ms" and "> 200 ms"
    ("daily", "error_rate", 0.001, "warning"),
    ("daily", "error_rate", 0.01, "critical"),
    ("daily", "ccu_utilization_normal", 0.67, "warning"),
    ("daily", "ccu_utilization_normal", 0.80, "critical"),
    ("daily", "queue_utilization", 0.50, "warning"),
    ("daily", "queue_utilization", 0.80, "critical"),
    ("alert", "p95_s", 0.200, "warning"),
    ("alert", "error_rate", 0.05, "critical"),
    ("alert", "ccu_utilization_normal", 0.80, "warning"),
    ("alert", "ccu_utilization_normal", 0.95, "critical"),
]


def exactly(rows: list[tuple]) -> list[tuple]:
    """The numbers as decimals again: 67 x 0.01 is not quite the double 0.67."""
    return [tuple(round(cell, 9) if isinstance(cell, float) else cell for cell in row) for row in rows]


@pytest.mark.parametrize(("name", "table"), [("daily", DAILY), ("alert", ALERTS)])
def test_the_bands_are_the_guides(name: str, table: list[tuple]) -> None:
    profile = BandProfile.guide(name)  # type: ignore[arg-type]
    assert profile.name == name
    assert [(item.metric, item.warning_from, item.critical_from) for item in profile.bands] == exactly(table)


def test_the_scaling_rules_are_the_guides() -> None:
    profile = ScalingProfile.guide()
    rows = [(rule.metric, rule.threshold, rule.duration_s, rule.action) for rule in profile.rules]
    assert (profile.name, rows) == ("scaling", exactly(SCALING))


def test_the_incident_severities_are_the_guides() -> None:
    profile = IncidentProfile.guide()
    rows = [(r.severity, r.error_rate_from, r.degradation_from, r.respond_within_s) for r in profile.rules]
    assert (profile.name, rows) == ("incident", exactly(INCIDENTS))


@pytest.mark.parametrize(("name", "metric", "value", "level"), ON_AN_EDGE)
def test_a_value_on_an_edge_belongs_to_the_worse_band(name: str, metric: str, value: float, level: str) -> None:
    (band,) = (band for band in BandProfile.guide(name).of(metric) if value in band)  # type: ignore[arg-type]
    assert (band.profile, band.level, band.low) == (name, level, value)


def test_every_edge_of_the_daily_bands_is_among_the_documented_cases() -> None:
    edges = {(t.metric, t.value, t.meaning) for t in BandProfile.guide("daily").thresholds()}
    assert edges == {case[1:] for case in ON_AN_EDGE if case[0] == "daily"}


@pytest.mark.parametrize("profile", [BandProfile.guide("daily", ccu_base="max"), ScalingProfile.guide(ccu_base="max")])
def test_the_base_of_the_ccu_utilization_is_the_callers(profile: BandProfile | ScalingProfile) -> None:
    metrics = {threshold.metric for threshold in profile.thresholds()}
    assert "ccu_utilization_max" in metrics
    assert "ccu_utilization_normal" not in metrics


def test_the_servers_readiness_ends_at_90_percent_of_normal_capacity_or_of_the_queue() -> None:
    """Whatever base the guide's other thresholds have: the server divides by normal capacity."""
    for profile in (BandProfile.guide("readiness"), BandProfile.guide("readiness", ccu_base="max")):
        assert profile.to_dict() == {
            "name": "readiness",
            "bands": {
                "ccu_utilization_normal": {"critical_from": 0.9}, "queue_utilization": {"critical_from": 0.9},
            },
        }  # fmt: skip
