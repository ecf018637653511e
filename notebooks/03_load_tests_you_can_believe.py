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
# # Load tests that you can believe
#
# A service is to take 500 users, and a new release waits to go out. Two questions: how many users does one instance
# carry, and is the new release as fast as the old one? Both are answered by load tests, and a plan made from a wrong
# load test is wrong as a whole. So this notebook asks of every test first: *can it be believed?*
#
# 1. A load test that somebody else made, imported. What its own report gets wrong.
# 2. Trust checks: what they look at, and what they say of a server that stood still for a second.
# 3. Steady windows, and what differs between two runs of the same test.
# 4. A model calibrated on some load levels and checked on the others.
# 5. Two releases compared.
# 6. The knee: the most users that keep the objective, and the decision.
#
# *Run All* takes about a minute and a half, most of it real load on real servers on this machine, on free ports. (The
# very first run on a machine also compiles the model's kernels.)

# %%
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from capacity import charts, required_instances
from loadtests import (
    Deployment,
    Exponential,
    KneeObjective,
    KneeOptions,
    LoadPlan,
    StagingOptions,
    check_recording,
    find_knee,
    import_locust,
    read_deployment,
    record,
    start_staging,
)
from simulations import calibrate, compare_recordings, predict_curve, validate_model

SEED = 1
DATA = Path("../data/recordings/third_party/haproxy_gate")  # beside this notebook's folder
folder = Path(tempfile.mkdtemp(prefix="believe-"))

# %% [markdown]
# ## 1. Somebody else's load test
#
# `data/recordings/third_party/haproxy_gate` has what stock Locust wrote when it loaded an HAProxy: 12 requests at a
# time, 28 in line, and a 503 for whoever comes beyond 40. Nine levels of users, one run each, two of them three times.
# The file `steps_with_repeats.csv` says which files belong to which level.

# %%
gate = read_deployment(DATA / "deployment.json")
imported = import_locust(DATA / "steps_with_repeats.csv", folder / "imported", deployment=gate)
print(imported.summary())

# %% [markdown]
# The levels come with a log of single requests, so their numbers are exact: latencies are of *served* requests, and a
# 503 counts as shed. Often there is no such log, only Locust's own report. What would have been known then? Step 8
# again (180 users), without its request log:

# %%
shutil.copytree(DATA / "u0180", folder / "mailed", ignore=shutil.ignore_patterns("requests.csv.gz"))
report_only = import_locust(
    folder / "mailed" / "locust", folder / "report_only", deployment=gate, think="exponential:1.0"
)
locusts = pd.read_csv(folder / "mailed" / "locust_stats.csv").iloc[-1]

logged, bounds = imported.step(8).metrics, report_only.steps[0].metrics
percentiles = pd.DataFrame(
    {
        name: {
            "Locust says": f"{locusts[column]:.0f} ms",
            "served requests, by the log": logged[metric].scaled(1e3).format(".3g", "ms"),
            "bounds, from the report alone": bounds[metric].scaled(1e3).format(".3g", "ms"),
        }
        for name, metric, column in (("median", "p50_s", "50%"), ("P95", "p95_s", "95%"), ("P99", "p99_s", "99%"))
    }
).T
percentiles
# %% [markdown]
# Locust's percentiles are too low: it mixes the 503s, which come back in a millisecond, with the requests that waited.
# The more a server rejects, the faster it looks. The import cannot undo the mixing, but it can bound what was mixed:
# 30 % of the requests were rejected, anything from the fastest to the slowest of all. The interval that follows is wide
# and holds the truth. The recording states this itself:

# %%
check_recording(report_only)

# %% [markdown]
# ## 2. Can it be believed?
#
# `check_recording` runs 18 checks and gives a verdict: *trusted*, *usable with caveats* or *refused*. Its table says
# what each check looks at, and why one does not apply. Every recording that this library makes is checked when it is
# made; `capacity check DIR` does the same on the command line.

# %%
check_recording(imported)

# %% [markdown]
# Now a test with a flaw. The bundled staging server is a real HTTP server, and it takes a script of what is to go
# wrong: here its event loop is frozen for one second (think of a long garbage collection). 30 users send requests all
# the time. Users who wait do not send, so a stall hides most of its victims: the requests that *would* have been sent.

# %%
instance = Deployment(workers=12, queue_capacity=28)
requests = (("GET", "/api/users", 1.0),)
think = Exponential(0.2)

frozen = StagingOptions(instance, "lognormal:60ms:0.7", seed=SEED, faults=["stall:8s:1s"])
with start_staging(frozen) as server:
    stalled = record(
        server.host, LoadPlan(users=(30,), step_time_s=10.0, think=think, requests=requests, seed=SEED),
        folder / "stalled", deployment=instance,
    )  # fmt: skip
print(check_recording(stalled).summary())

# %%
stalled_chart = charts.plot_steady_windows(stalled)

# %% [markdown]
# The chart shows the second of silence, and the P95 of those who waited through it. What the checks make of it depends
# on where it fell: in the steady window it is found and named; if it fell into the ramp (on a machine that
# is slow to start), the window begins after it and there is nothing to say.
#
# Do not read on from a refused recording. Find what stood still, and measure again.

# %% [markdown]
# ## 3. Steady windows, and runs that differ
#
# Beyond faults there are three ways to fool oneself with a clean recording: to count the ramp, to take neighbouring
# requests for independent ones, and to take one run for all runs.
#
# **The ramp.** The folder `shape` has one run of Locust through seven levels. Nobody said when they began: the import
# found them in Locust's count of users, and cut what came before each level had settled.

# %%
stepped = import_locust(DATA / "shape" / "locust", folder / "stepped", deployment=gate, think="exponential:1.0")
windows_chart = charts.plot_steady_windows(stepped)

# %% [markdown]
# **Neighbours.** When one request waits, so does the next. The intervals come from *blocks* of time, as long as the
# correlation lasts. Near saturation (130 users) it lasts longer, so the same window holds fewer blocks and the interval
# is wider: fewer than 20 are flagged.

# %%
stepped.to_frame()[
    ["step", "users", "window_s", "cut_s", "cut_requests", "blocks", "p95_s_low", "p95_s_mid", "p95_s_high"]
]

# %% [markdown]
# **One run.** Two levels of the imported test were measured three times. Pooled, they show what differs from run to run
# beyond what happens within a run (`between_runs`: relative for rates and times): about 1 % or less for goodput, but 3
# to 4 % for the latencies near the knee (115 users). A single run cannot know that; its interval is too narrow there.

# %%
pooled = imported.pooled_levels().to_frame()
pooled[(pooled["repeats"] > 1) & pooled["metric"].isin(["goodput_rps", "shed_rate", "p50_s", "p95_s"])]

# %% [markdown]
# ## 4. Calibrate on some levels, check on the others
#
# A model knows more than a table: it says what happens between the levels, beyond them, and with other limits. If it is
# right. So it is fitted to five levels and has to predict four others: two between those and two beyond.

# %%
CALIBRATED, HELD_OUT = [1, 2, 3, 5, 7], [4, 6, 8, 9]
fit = calibrate(imported.only(CALIBRATED), seed=SEED)
print(fit.summary())

# %%
report = validate_model(fit, imported.only(HELD_OUT), seed=SEED + 1)
print(report.summary())

# %%
seen = imported.only(sorted(CALIBRATED + HELD_OUT))
predicted = predict_curve(fit, [30, 60, 85, 100, 108, 115, 122, 130, 150, 180, 205, 230], 45.0, seed=SEED)
p95_chart = charts.plot_load_test_fit(seen, predicted, metric="p95_s", held_out=HELD_OUT)
shed_chart = charts.plot_load_test_fit(seen, predicted, metric="shed_rate", held_out=HELD_OUT)

# %% [markdown]
# The server's true service time is written down beside the data: lognormal, 120 ms on average, coefficient of variation
# 0.7. The calibration found it from the outside. The hollow points lie in the band, which is what makes the model
# worth asking. The first notebook goes on from here to a plan.

# %% [markdown]
# ## 5. Is the new release as fast?
#
# Two releases of the staging server, the same two levels of users each. The new one takes a quarter longer per request
# (75 ms instead of 60 ms), which the comparison is not told.


# %%
def measured(service_time, name):
    """A recording of a release at two levels."""
    plan = LoadPlan(users=(20, 45), step_time_s=4.0, think=think, requests=requests, seed=SEED)
    with start_staging(StagingOptions(instance, service_time, seed=SEED)) as release:
        return record(release.host, plan, folder / name, deployment=instance)


old = measured("lognormal:60ms:0.7", "old")
new = measured("lognormal:75ms:0.7", "new")

# %%
comparison = compare_recordings(old, new, seed=SEED)
print(comparison.verdict, "-", comparison.reason)
comparison_chart = charts.plot_comparison(comparison)

# %% [markdown]
# A difference is judged against a margin that was set beforehand, 5 % of harm. *Worse* is said only when a whole
# interval lies beyond the margin, with all judged differences taken together. *Unclear* is an answer, too: these steps
# are four seconds long. `docs/evidence.md` has how often such verdicts are wrong. On the command line:
# `capacity compare old new`, with exit code 99 for *worse*, which stops a pipeline.

# %% [markdown]
# ## 6. How many users does an instance carry?
#
# The objective: 95 % of the served requests within 200 ms. The most users that keep it are the *knee*. `find_knee`
# looks for it with real load. It asks for one level, looks at what it measured, and chooses the next one to learn the
# most. No level is more than twice the largest one that has kept the objective. (`max_bad_fraction=` also limits the
# share of rejected requests. It takes longer steps: three seconds without a 503 do not show that fewer than 1 % are
# rejected.) The old release again, five short steps:

# %%
objective = KneeObjective(p95_s=0.200)
plan = LoadPlan(users=(20,), step_time_s=3.0, think=think, requests=requests, seed=SEED)
with start_staging(StagingOptions(instance, "lognormal:60ms:0.7", seed=SEED)) as server:
    knee, steps = find_knee(
        server.host, plan, objective, folder / "knee", deployment=instance,
        options=KneeOptions(start_users=20, most_users=400, max_steps=5),
    )  # fmt: skip
knee

# %%
knee_chart = charts.plot_knee_search(knee)

# %% [markdown]
# Each point is a step, from top to bottom in the order of time. The dashed curve is what all steps together say: how
# likely so many users keep the objective. It is steep where steps lie close on both sides, and the interval shows what
# five steps of three seconds leave open. Longer steps, or more of them, narrow it (`precision=`).
#
# By the closed loop's law the line begins to fill at 12 workers x (60 ms + 200 ms) / 60 ms = 52 users.

# %% [markdown]
# ## The decision
#
# - The imported test is trusted, and its model predicted levels that it had not seen. Locust's own percentiles are not
#   used.
# - The stalled test is not used.
# - The new release stays out until its service time is explained. (Had the comparison been unclear: measure longer.)
# - An instance of the old release is planned with the **low end** of the knee's interval: that is what the evidence
#   assures.

# %%
assured = knee.knee_users.low
if assured > 0:
    instances = required_instances(peak=500, instance_capacity=assured, safety_factor=1.2)
    print(f"{assured:.0f} users an instance, {instances} instances for 500 users with a safety factor of 1.2")
else:
    print("No load is known to keep the objective; measure again, with longer steps.")
