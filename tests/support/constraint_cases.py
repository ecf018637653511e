"""Random constraints of a plan, as Hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

from capacity import FleetRules, InstanceLimits, PlanConstraints, ServiceDemand

unavailable = st.sampled_from([0, 1, "10%", "25%"])
rules = st.builds(
    FleetRules,
    spare_instances=st.integers(0, 2),
    zones=st.just(3),
    survives_zone_loss=st.booleans(),
    max_unavailable=unavailable,
    carries_peak_during_update=st.booleans(),
    loss_safety_factor=st.sampled_from([1, 1.25]),
    contention=st.sampled_from([0, 0.001, 0.01]),
)
constraints = st.builds(
    PlanConstraints,
    st.builds(
        ServiceDemand,
        arrival_rate_rps=st.sampled_from([0.5, 1.5, 2]),
        residence_time_s=st.just(0.05),
        cpu_s_per_request=st.sampled_from([None, 0.001, 0.004]),
        database_time_s=st.sampled_from([None, 0.003, 0.01]),
        memory_mib_per_in_flight=st.sampled_from([None, 4, 16]),
    ),
    st.builds(
        InstanceLimits,
        cpu_cores=st.sampled_from([None, 1, 2]),
        db_pool=st.sampled_from([None, 5, 20]),
        memory_mib=st.sampled_from([None, 512, 2_048]),
        normal_rps=st.sampled_from([None, 700]),
    ),
    rules,
)
