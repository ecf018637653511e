# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first capacity plan
#
# How many instances does a service need, and when? This notebook answers twice.
#
# 1. **Assumed.** Growth and the capacity of one instance are taken from an operations guide. Nothing is measured.
# 2. **Measured.** A real server is load-tested, a model is calibrated on the result and checked on a load that it has
#    not seen, and the plan is made from what that server carries.
#
# Then a *what if*: what would a bigger instance carry?
#
# *Run All* takes under a minute. The load test is real: a server and a load generator run on this machine, on a free
# port, for about half a minute.

# %%
import tempfile
from pathlib import Path

import pandas as pd

from capacity import (
    GrowthProjection,
    InstanceCapacity,
    OrderingRules,
    PlanningPolicy,
    charts,
    order_timeline,
    plan_capacity,
    required_instances,
    scaling_timeline,
)
from loadtests import Deployment, Exponential, Interval, LoadPlan, StagingOptions, record, start_staging
from simulations import (
    CapacityCurve,
    ClosedWorkload,
    calibrate,
    capacity_of_fit,
    find_capacity,
    model_draws,
    parse_distribution,
    predict_curve,
    simulate,
    sweep_load,
    validate_model,
)

SEED = 1
folder = Path(tempfile.mkdtemp(prefix="first-plan-"))

# %% [markdown]
# ## 1. The plan by the guide's numbers
#
# The guide gives the peak load for four months, and 3,350 as the normal capacity of one instance: 67 % of the 5,000
# that it is built for. It counts "CCU" and does not say whether that means users, connections or requests in flight.
# The plan keeps the word and warns.

# %%
growth = GrowthProjection.guide()
growth

# %% [markdown]
# The formula is *peak / capacity of one instance x safety factor*, rounded up. The guide's factors are 1.2 to 1.5.
# The arithmetic is exact, so a result that is a whole number is not rounded up once more.

# %%
formula = pd.DataFrame(
    {
        "month": [point.month for point in growth.points],
        "peak": [point.peak for point in growth.points],
        "x1.2": [required_instances(point.peak, 3_350, 1.2) for point in growth.points],
        "x1.5": [required_instances(point.peak, 3_350, 1.5) for point in growth.points],
    }
).set_index("month")
formula

# %% [markdown]
# The plan covers every month and adds three things: the way of scaling, how full the fleet is at the peak, and the
# *findings*. Findings are what a reader must know before acting: assumptions, contradictions between the inputs, and
# risks. Each one carries its numbers and says what to do.

# %%
assumed = InstanceCapacity.assumed(3_350)
guide_plan = plan_capacity(growth, assumed, PlanningPolicy.guide())
guide_plan

# %%
guide_timeline = scaling_timeline(guide_plan)
guide_timeline

# %%
guide_growth_chart = charts.plot_growth_capacity(guide_plan)
guide_timeline_chart = charts.plot_timeline(guide_timeline)

# %% [markdown]
# Formula and timeline disagree in months 0 to 2: the formula asks for two instances, the timeline keeps one. Both are
# shown. The finding `formula-exceeds-timeline` says why, and `phase-relies-on-capacity-above-gate` says what it costs:
# the peak of month 2 is above what one instance's gate admits.
#
# Everything so far rests on the sentence "one instance carries 3,350". Nobody measured it.

# %% [markdown]
# ## 2. Measure one instance
#
# The bundled staging server is a real HTTP server with a gate, a waiting line and workers. This one is small, so that
# one machine can load it: 50 workers, 151 places in line, the gate at 201 requests in flight. The service time is
# lognormal with a mean of 100 ms. That makes 50 / 0.1 s = 500 requests a second at most.
#
# Each simulated user sends a request, waits for the answer, thinks for 0.3 s on average, and sends the next one. That
# is a *closed* load: users who wait do not send. By the closed loop's law, 500 requests a second keep
# 500 x (0.1 s + 0.3 s) = 200 users busy. The five levels go from far below that to far above it.

# %%
deployment = Deployment.from_utilization(max_ccu=300, utilization_percent=67)
load = LoadPlan(
    users=(60, 140, 200, 260, 420),
    step_time_s=5.0,
    think=Exponential(0.3),
    requests=(("GET", "/api/users", 1.0), ("POST", "/api/echo", 1.0)),
    seed=SEED,
)
options = StagingOptions(deployment, "lognormal:100ms:0.7", seed=SEED, service_log=folder / "service_times.csv")

with start_staging(options) as server:
    recording = record(server.host, load, folder / "recording", deployment=deployment)

print(recording.summary())

# %% [markdown]
# Each step keeps its steady part only: the ramp and the first second or so are cut. Latencies are those of *served*
# requests, as the client sees them. A rejected request (503) is counted in the shed rate and in no latency.
#
# Every number has an interval. Here they are **confidence intervals** from resampling stretches of time: how far the
# number could be off because the window was short. These windows are very short, so the intervals are wide.

# %%
recording

# %% [markdown]
# ## 3. Calibrate a model, and check it
#
# The calibration looks for the service time (mean and spread) and the network round trip under which a simulation of
# the server shows the same rates and latencies, at all steps at once. Workers, line and gate are known: they are
# configured. Think times are measured from the recording. Step 3 (200 users) is left out; the model never sees it. It
# is the hardest one to predict: at the knee, where waiting begins.

# %%
HELD_OUT = 3
fit = calibrate(recording.without([HELD_OUT]), seed=SEED)
print(fit.summary())

# %% [markdown]
# These are **parameter intervals**: how well this recording tells each parameter. The server keeps its own log of
# how long each request held a worker. The calibration did not use it, so it can serve as the truth to compare with.

# %%
realised_s = pd.read_csv(folder / "service_times.csv")["realised_s"].mean()
for name, service in fit.parameters.items():
    if name.startswith("service_mean_s"):  # one of each endpoint that every step shows often enough
        print(f"{name}: calibrated {service.scaled(1e3).format('.4g', 'ms')}, logged {1e3 * realised_s:.4g} ms")

# %% [markdown]
# Now the step that the model has not seen. The model states **prediction intervals**: where a measurement *of this
# length* should fall. They hold the parameters' uncertainty, the noise of a short window, and a stated 1 % from run to
# run. The limits of the verdict are fixed beforehand, and widened where the measurement itself is too noisy to ask
# for more. With windows this short the verdict can go either way; `capacity demo` measures 20 s per step.

# %%
report = validate_model(fit, recording.only([HELD_OUT]), seed=SEED + 1)
report

# %%
print(report.summary())

# %% [markdown]
# The baselines in the summary are what one could say without a simulation: no waiting at all, a textbook formula
# without a gate, and straight lines between the measured steps. A model is worth its effort where it beats them.

# %%
window_s = min(step.window_s for step in recording.steps)
predicted = predict_curve(fit, [30, 60, 100, 140, 170, 200, 230, 260, 300, 340, 380, 420], window_s, seed=SEED)
goodput_chart = charts.plot_load_test_fit(recording, predicted, metric="goodput_rps", held_out=[HELD_OUT])
p95_chart = charts.plot_load_test_fit(recording, predicted, metric="p95_s", held_out=[HELD_OUT])

# %% [markdown]
# ## 4. What one instance carries
#
# Capacity needs an objective. Here: 95 % of the served requests within 300 ms, and at most 0.1 % of all requests shed.
# The capacity is the largest number of users at which the model keeps both. Its interval comes from 40 joint draws of
# the calibrated parameters.

# %%
P95_S, MAX_BAD = 0.300, 0.001
capacity = capacity_of_fit(fit, p95_s=P95_S, max_bad_fraction=MAX_BAD, seed=SEED)
print(f"{capacity.value.format('.4g')} users, bound by {capacity.bound_by}")
print(f"that is {capacity.arrival_rate_rps.format('.4g')} requests a second")
print(f"with {capacity.in_flight.format('.4g')} requests in flight on average")

# %%
measured = CapacityCurve.from_steps(recording.steps)
capacity_chart = charts.plot_capacity_curve(predicted, measured=measured, capacity=capacity)

# %% [markdown]
# ## 5. The plan for the measured instance
#
# The same shape of growth, scaled so that today's peak is what one measured instance carries. With real traffic, use
# your own peaks here (`capacity.read_growth` reads a CSV). Growth and capacity both count *users* now.
#
# Where a capacity is an interval the plan uses its **low end**: that is what the evidence assures. The utilization of
# 67 % is gone, because the instance's maximum is measured too: the load at which it sheds more than allowed.

# %%
scale = capacity.value.mid / 3_350
own_growth = GrowthProjection.from_points({point.month: round(point.peak * scale) for point in growth.points}, "users")
measured_plan = plan_capacity(own_growth, capacity, PlanningPolicy(utilization_percent=None, deployment=deployment))
measured_plan

# %%
measured_growth_chart = charts.plot_growth_capacity(measured_plan)
measured_timeline_chart = charts.plot_timeline(measured_plan)

# %% [markdown]
# What is measured here: the capacity of one instance, and its maximum. What is still assumed: the growth, the safety
# factors, and that *n* instances carry *n* times as much (`linear-scaling-assumed`).

# %% [markdown]
# ### When to order
#
# An instance that is ordered takes a while to arrive: say a month, and in nine of ten cases between half a month and
# two and a half. The latest order is the one with which demand exceeds what there is, before the order arrives, in at
# most 5 % of the scenarios: drawn jointly from the measured capacity's interval and the lead time. The date by the
# central values alone stands beside it.

# %%
lead_time = Interval(0.5, 1.0, 2.5, kind="prediction")
orders = order_timeline(measured_plan, OrderingRules(risk=0.05, lead_time_months=lead_time))
orders

# %%
order_chart = charts.plot_order_dates(orders)

# %% [markdown]
# ## 6. What if the instance were bigger?
#
# Limits are configured and times are estimated, so the calibrated times can be put under other limits. Two ways to
# make the instance "twice as big":
#
# - `max_ccu` 600 instead of 300. The server's own rule then opens the gate to 402, but still starts 50 workers.
# - 100 workers, with the gate at 402.

# %%
larger = {
    "as measured": deployment,
    "max_ccu 600": Deployment.from_utilization(600, 67),
    "100 workers": deployment.with_limits(max_ccu=600, workers=100, queue_capacity=302),
}
draws = model_draws(fit, 12, seed=SEED)
what_if = {
    name: find_capacity(
        fit.model.with_deployment(limits), ClosedWorkload(200, fit.think_time), p95_s=P95_S,
        max_bad_fraction=MAX_BAD, draws=[draw.with_deployment(limits) for draw in draws], seed=SEED,
    )
    for name, limits in larger.items()
}  # fmt: skip
pd.DataFrame(
    {
        "gate": {name: limits.gate for name, limits in larger.items()},
        "workers": {name: limits.workers for name, limits in larger.items()},
        "users (low)": {name: found.value.low for name, found in what_if.items()},
        "users": {name: found.value.mid for name, found in what_if.items()},
        "users (high)": {name: found.value.high for name, found in what_if.items()},
        "bound by": {name: found.bound_by for name, found in what_if.items()},
    }
)

# %% [markdown]
# Twice the `max_ccu` carries no more users within the objective: the gate was not what bound it. It only lets the
# line grow longer. Twice the workers carry about twice as many.
#
# One number of users, looked at closely. These are **confidence intervals** again, now of a long simulated run.

# %%
for name in ("max_ccu 600", "100 workers"):
    result = simulate(
        fit.model.with_deployment(larger[name]), ClosedWorkload(380, fit.think_time), requests=60_000, seed=SEED
    )
    p95, shed = result.metrics["p95_s"].scaled(1e3), result.metrics["shed_rate"].scaled(100)
    print(f"{name}: 380 users, P95 {p95.format('.4g', 'ms')}, shed {shed.format('.3g', '%')}")

# %%
levels = [60, 150, 240, 330, 380, 430, 520, 610, 700, 790]
thinking = ClosedWorkload(1, parse_distribution("exponential:0.3"))  # the levels replace its number of users
bigger = sweep_load(fit.model.with_deployment(larger["100 workers"]), thinking, levels, seed=SEED)
bigger_chart = charts.plot_capacity_curve(bigger, capacity=what_if["100 workers"])

# %% [markdown]
# **How far to trust this.** The prediction assumes that the service time stays what it was measured to be. On a real
# machine, twice the workers share the same processor cores, memory and database, and each request may take longer. The
# calibrated model lumps all of that into one service time. So take the answer as an upper bound, make the change on a
# test instance, and measure again: the same cells, with the other deployment.
#
# The recording of this run is in `folder`; the plan is saved beside it and can be opened with
# `capacity.CapacityPlan.load`.

# %%
fit.save(folder / "model.json")
measured_plan.save(folder / "plan.json")
print(sorted(path.name for path in folder.iterdir()))
