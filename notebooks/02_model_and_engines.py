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
# # The model and its two engines
#
# The first notebook plans. This one opens the simulator behind the plan and asks it questions that a formula does not
# answer.
#
# 1. A server with a database pool, and clients who give up and try again.
# 2. The same run in both engines: the readable one in SimPy and the compiled one. They agree to the last bit.
# 3. A retry storm: a service that stays down after the cause has gone.
# 4. Three instances behind different balancers.
# 5. A server of your own in ten lines, compared with the plain one under the same luck.
# 6. Intervals: by replications, and by a requested precision.
#
# Nothing is measured here: every number comes from a stated model. *Run All* takes about half a minute. The very first
# run on a machine also compiles the kernels, once, which takes about as long again.

# %%
import numpy as np
import pandas as pd

from capacity.output.charts.style import BLACK, BLUE, GREY, ORANGE, VERMILION, amount_axis, new_axes, tidy
from simulations import (
    Clients,
    ClosedWorkload,
    Deployment,
    Exponential,
    Fleet,
    LogNormal,
    OpenWorkload,
    Precision,
    ProfileWorkload,
    ReplicationPlan,
    Retries,
    ServerModel,
    compare_models,
    simulate,
)

SEED = 1

# %% [markdown]
# ## 1. A model
#
# A model is data: what is *configured* (the deployment's limits) and how long things *take* (distributions). A request
# holds one of 40 workers all the time. For 20 ms of that, on average, it also holds one of 8 database connections.
#
# By the utilization law no more than 8 / 0.02 s = 400 requests a second can pass the pool. The workers alone could do
# 40 / 0.07 s = 571. So the pool is the bottleneck, and adding workers would not help.

# %%
deployment = Deployment(workers=40, queue_capacity=160, db_pool=8)
model = ServerModel(
    deployment,
    service_time=LogNormal(mean_s=0.05, cv=0.7),
    database_time=LogNormal(mean_s=0.02, cv=1.0),
    network_round_trip_s=0.002,
)
print(f"bottleneck: {model.bottleneck}, at {model.saturation_rps:.0f} requests a second")

# %% [markdown]
# Clients give up after 300 ms. Then, or when they were turned away, they try again: at most four attempts, with waits
# that double from 50 ms and are spread at random. The server does not notice that a client has gone. It finishes work
# that nobody waits for.

# %%
impatient = Clients(timeout_s=0.3)
retrying = Clients(timeout_s=0.3, retries=Retries(most_attempts=4, backoff_s=0.05))

steady = simulate(model, OpenWorkload(320, clients=retrying), requests=200_000, seed=SEED)
steady

# %% [markdown]
# There are two ledgers. The first counts **attempts**: what the server sees. The second counts **logical requests**:
# what users asked for, however many attempts it took. `bad_fraction` belongs to the second.

# %%
ledgers = pd.DataFrame({"attempts": steady.outcomes, "logical requests": steady.logical_outcomes})
ledgers

# %% [markdown]
# ## 2. Two engines, one path
#
# The SimPy engine is the specification: it reads like the model. The compiled engine is its fast twin. The same seed
# gives the same requests in both, because a random number belongs to a request and not to the moment of its drawing.
# Here is a load above saturation, so that every rule is at work: rejections, clients who give up, retries.

# %%
overload = OpenWorkload(450, clients=retrying)
by_engine = {
    name: simulate(model, overload, requests=8_000, seed=SEED, engine=name, keep="requests")
    for name in ("simpy", "compiled")
}
columns = ("arrival_s", "start_s", "departure_s", "outcome", "user", "cycle", "attempt", "instance")
equal = {
    name: bool(np.array_equal(*(getattr(result.requests, name) for result in by_engine.values()))) for name in columns
}
print(by_engine["simpy"].outcomes)
equal

# %%
for name, result in by_engine.items():
    print(f"{name:>8}: {result.count / result.wall_s:>9,.0f} attempts a second, statistics included")
print(by_engine["compiled"].engine_reason)

# %% [markdown]
# The short run makes the compiled engine look slower than it is. `docs/benchmark.md` has measured speeds.
#
# By default a run keeps no rows, only sums and histograms over stretches of time, so its memory does not grow with the
# requests. `keep="requests"` keeps the log.

# %% [markdown]
# ## 3. A retry storm
#
# A steady load of 280 requests a second: 70 % of what the pool can do. For ten seconds there come 800 instead. What
# happens afterwards?
#
# Two populations of clients, everything else alike: those who give up and leave, and those who give up and try again.

# %%
QUIET_S, BURST_S, AFTER_S = 30.0, 10.0, 60.0
BURST_RPS = 800.0
END_S = QUIET_S + BURST_S + AFTER_S


def story(server, load_rps, clients, burst_rps=BURST_RPS):
    """A steady load, a burst, the steady load again; twice, with other luck."""
    calm_s = QUIET_S + BURST_S
    times_s = (0.0, QUIET_S, QUIET_S, calm_s, calm_s, END_S)
    rates_rps = (load_rps, load_rps, burst_rps, burst_rps, load_rps, load_rps)
    workload = ProfileWorkload(times_s, rates_rps, clients)
    return simulate(server, workload, seed=SEED, replications=2, keep="requests")


def goodput_rps(result, edges_s):
    """Served attempts per second between consecutive times, mean of the replications."""
    logs = [run.log for run in result.runs]
    served = [np.histogram(log.answered_s[log.served], edges_s)[0] for log in logs]
    return np.mean(served, axis=0) / np.diff(edges_s)


# %%
edges_s = np.arange(0.0, END_S + 1.0, 2.0)
middle_s = (edges_s[1:] + edges_s[:-1]) / 2
over_time = {
    "give up and leave": goodput_rps(story(model, 280.0, impatient), edges_s),
    "give up and try again": goodput_rps(story(model, 280.0, retrying), edges_s),
}

# %%
storm_chart = new_axes()
storm_chart.axvspan(QUIET_S, QUIET_S + BURST_S, color=GREY, alpha=0.2, linewidth=0)
storm_chart.text(
    QUIET_S + BURST_S / 2, 0.97, f"burst:\n{BURST_RPS:,.0f}/s", ha="center", va="top", fontsize=9,
    transform=storm_chart.get_xaxis_transform(),
)  # fmt: skip
for (name, values), (colour, style) in zip(over_time.items(), ((BLUE, "-"), (VERMILION, (0, (5, 2)))), strict=True):
    storm_chart.plot(middle_s, values, color=colour, linestyle=style, linewidth=2.0, label=name,
                     clip_on=False)  # fmt: skip
amount_axis(storm_chart, "goodput (served requests per second)")
storm_chart.set_ylim(0, 400)
storm_chart.set_xlim(0, END_S)
storm_chart.set_xlabel("time (s)")
storm_chart.set_title("Ten seconds of overload, at a steady load of 280 per second", loc="left")
storm_chart.legend(loc="center right", frameon=False, fontsize=9)
tidy(storm_chart)

# %% [markdown]
# Without retries the line drains and goodput returns. With retries it never does, although the burst is long over. A
# full instance holds 200 requests. The pool lets 400 a second pass, so each takes half a second: longer than anybody
# waits. Every answer comes too late, every client tries again, and the retries keep the line full. All the work is
# done, and all of it is wasted. Such a state is called *metastable*: two steady states at the same load, and it
# depends on the past in which one the system is.
#
# Now over the load: each point is the last half minute of such a story (the mean of two), with and without the burst
# before it.

# %%
loads_rps = np.array([60.0, 120, 180, 240, 300, 340, 380, 420, 480, 540])
last_s = np.array([END_S - 30.0, END_S])


def goodput_at(load_rps, clients, burst_rps):
    return float(goodput_rps(story(model, load_rps, clients, burst_rps), last_s)[0])


branches = {
    "no retries, after the burst": [goodput_at(load, impatient, BURST_RPS) for load in loads_rps],
    "retries, no burst": [goodput_at(load, retrying, load) for load in loads_rps],
    "retries, after the burst": [goodput_at(load, retrying, BURST_RPS) for load in loads_rps],
}

# %%
branch_chart = new_axes()
branch_chart.axvline(model.saturation_rps, color=GREY, linestyle=":", linewidth=1.5)
branch_chart.text(
    model.saturation_rps + 6, 0.97, "saturation\nof the pool", va="top", fontsize=9, color=BLACK,
    transform=branch_chart.get_xaxis_transform(),
)  # fmt: skip
styles = ((BLUE, "-", "o"), (ORANGE, (0, (2, 1)), "s"), (VERMILION, (0, (5, 2)), "D"))
for (name, values), (colour, style, marker) in zip(branches.items(), styles, strict=True):
    branch_chart.plot(
        loads_rps, values, color=colour, linestyle=style, marker=marker, markeredgecolor=BLACK, linewidth=2.0,
        label=name, clip_on=False,
    )  # fmt: skip
amount_axis(branch_chart, "goodput (served requests per second)")
branch_chart.set_ylim(0, 480)
branch_chart.set_xlim(0, 560)
branch_chart.set_xlabel("load (requests per second, retries not counted)")
branch_chart.set_title("The same load, two states", loc="left")
branch_chart.legend(loc="upper left", frameon=False, fontsize=9)
tidy(branch_chart)

# %% [markdown]
# From 180 to 340 a second the service works as long as nothing happens to it. A load test that only climbs
# does not see this. Beyond saturation nobody is served at all, retries or not: the line is full
# for ever, and too long.
#
# What helps? Again 280 requests a second after the burst, with fewer attempts or a shorter line:

# %%
remedies = {
    "as it is": (deployment, 4),
    "two attempts": (deployment, 2),
    "line of 100": (deployment.with_limits(queue_capacity=100), 4),
    "line of 100, two attempts": (deployment.with_limits(queue_capacity=100), 2),
    "line of 60": (deployment.with_limits(queue_capacity=60), 4),
}
after = {}
for name, (limits, attempts) in remedies.items():
    clients = Clients(timeout_s=0.3, retries=Retries(most_attempts=attempts, backoff_s=0.05))
    after[name] = goodput_rps(story(model.with_deployment(limits), 280.0, clients), last_s)[0]
pd.DataFrame({"goodput after the burst (per second)": after}).round(0)

# %% [markdown]
# The length of the line decides. With 60 in line, a full instance turns its content over in a quarter of a second,
# sooner than the clients give up: answers are in time, and the state heals by itself. Fewer attempts alone do not help
# while the line is too long.

# %% [markdown]
# ## 4. Three instances and a balancer
#
# 280 users, three instances with 20 workers each, 93 % of what the three can do. The balancer decides who goes where:
#
# - `per-connection`: a user's connection goes to a random instance and stays there. A plain Kubernetes service does
#   that with connections that are kept alive.
# - `random`, `round-robin`, `two-choices` (the less busy of two random ones), `least-connections`: for each request.
#
# Each is simulated 12 times. A point is one replication, the bar is the 90 % interval of the mean.

# %%
instance = ServerModel(
    Deployment(workers=20, queue_capacity=100), service_time=LogNormal(mean_s=0.1, cv=0.3), network_round_trip_s=0.001
)
users = ClosedWorkload(users=280, think_time=Exponential(0.4))
balancers = ("per-connection", "random", "round-robin", "two-choices", "least-connections")
fleets = {
    name: simulate(instance, users, requests=30_000, fleet=Fleet(3, name), replications=12, seed=SEED)
    for name in balancers
}
pd.DataFrame({name: {"goodput (per second)": result.metrics["goodput_rps"].format(".4g"),
                     "P95": result.metrics["p95_s"].scaled(1e3).format(".4g", "ms")}
              for name, result in fleets.items()}).T  # fmt: skip

# %%
from simulations.analysis.cell_metrics import CellWindow, window_row
from simulations.analysis.run_length import warm_up_time_s

settled_s = warm_up_time_s(instance, users, instances=3)
balancer_chart = new_axes(size=(8.0, 3.6))
for row, result in enumerate(reversed(fleets.values())):
    each_ms = [1e3 * window_row(CellWindow.after(run.cells, settled_s))["p95_s"] for run in result.runs]
    p95 = result.metrics["p95_s"].scaled(1e3)
    balancer_chart.plot(each_ms, np.full(len(each_ms), row), "o", color=ORANGE, markeredgecolor=BLACK, markersize=6,
                        alpha=0.7, label="one replication" if row == 0 else None)  # fmt: skip
    balancer_chart.plot([p95.low, p95.high], [row - 0.28] * 2, color=BLUE, linewidth=5, solid_capstyle="butt",
                        label="90 % interval of the mean" if row == 0 else None)  # fmt: skip
balancer_chart.set_yticks(range(len(fleets)), list(reversed(fleets)))
balancer_chart.set_ylim(-0.6, len(fleets) - 0.5)
balancer_chart.set_xlabel("95th percentile of residence time (ms)")
balancer_chart.set_title("Three instances, 280 users: who balances", loc="left")
balancer_chart.legend(loc="lower right", frameon=False, fontsize=9)
tidy(balancer_chart)
balancer_chart.grid(visible=True, axis="x", color=GREY, alpha=0.25, linewidth=0.7)

# %% [markdown]
# Balancing each request by load is worth a tenth of the P95 here. And look at the spread: with
# `per-connection`, a few users too many on one instance stay there. It is decided once, when they connect, and holds
# for the whole run. **So one long run is not enough**: its interval knows the luck of its requests but not that of its
# connections. Replications see both.

# %% [markdown]
# ## 5. A server of your own
#
# What if a cache stood in front of the database? The library has no cache. But the SimPy engine is written to be
# extended: subclass its server and override `work`, what a request does while it holds a worker.
#
# Whether a request finds its answer in the cache is drawn *by identity*: from a number of the request itself, here its
# database time, and not from a stream that depends on the order of events. So every run can be repeated, and compared
# with another server under the same luck.

# %%
import random

from simulations.engines.simpy_engine import Server
from simulations.engines.simpy_stations import COMPLETION

HIT_SHARE, LOOKUP_S = 0.3, 0.001


class WithCache(Server):
    """A cache in front of the database: 30 % of the requests find their answer there."""

    def work(self, request):
        yield self.env.at(self.env.now + LOOKUP_S, COMPLETION, request)
        if random.Random(request.database_s).random() < HIT_SHARE:
            request.database_s = 0.0
        yield from super().work(request)


# %%
load = OpenWorkload(260, clients=impatient)
plan = ReplicationPlan(replications=8, requests=5_200, warm_up_s=4.0)
compared = compare_models(model, model, load, plan, server=(None, WithCache), seed=SEED)
wanted = {"mean_s": "mean", "p95_s": "P95"}
pd.DataFrame(
    {
        wanted[metric]: {
            "plain": compared[metric].a.scaled(1e3).format(".4g", "ms"),
            "with cache": compared[metric].b.scaled(1e3).format(".4g", "ms"),
            "difference": compared[metric].difference.scaled(1e3).format(".3g", "ms"),
            "replications saved": f"{compared[metric].variance_reduction.mid:.2g} times",
        }
        for metric in wanted
    }
)

# %% [markdown]
# Both servers met the same arrivals with the same work. So their *difference* varies less than either of them, and
# fewer replications are enough. The last line says how many times fewer: this is what *common random numbers* save. It
# is itself an estimate from eight pairs. (A server of your own runs in SimPy, the library's compiled: that changes no
# bit. How long yours takes to settle does not follow from the model, hence `warm_up_s`.)
#
# Models are compared in the same way, and so are fleets (`fleet=`, a pair). Two more database connections:

# %%
larger_pool = model.with_deployment(deployment.with_limits(db_pool=10))
pools = compare_models(model, larger_pool, load, ReplicationPlan(replications=20, requests=20_000), seed=SEED)
for metric in wanted:
    found = pools[metric]
    print(
        f"{wanted[metric]:>4}: {found.difference.scaled(1e3).format('.3g', 'ms')}, "
        f"replications saved: {found.variance_reduction.format('.2g', 'times')}"
    )

# %% [markdown]
# ## 6. How sure is a number?
#
# Three ways to an interval of the long-run value, for the same model:
#
# - **one long run**, cut into stretches of time (*batch means*). Cheap: one warm-up.
# - **replications**: independent runs, over as many threads as there are cores. Needed where a run does not mix, as in
#   section 4.
# - **a requested precision**: replications until the interval is as narrow as asked. Stopping at the first narrow
#   interval would favour lucky runs; Stein's two-stage rule avoids that.

# %%
busy = OpenWorkload(340, clients=impatient)


def half_width(interval):
    """Half the width of an interval as a share of its middle."""
    return (interval.high - interval.low) / 2 / interval.mid


ways = {
    "one run": simulate(model, busy, requests=400_000, seed=SEED, level=0.95),
    "20 replications": simulate(model, busy, requests=20_000, replications=20, seed=SEED, level=0.95),
    "P95 within 1 %": simulate(model, busy, requests=20_000, precision=Precision(0.01, ("p95_s",)), seed=SEED),
}
pd.DataFrame(
    {
        name: {
            "runs": len(result.runs),
            "attempts": f"{result.count:,}",
            "P95": result.metrics["p95_s"].scaled(1e3).format(".4g", "ms"),
            "half-width": f"{half_width(result.metrics['p95_s']):.2%}",
        }
        for name, result in ways.items()
    }
).T

# %% [markdown]
# A width is an estimate too: one run's rests on the fewest independent parts, so it varies most from seed to seed. This
# seed's is unusually wide.
#
# How often such intervals hold the truth is measured, not claimed: `docs/evidence.md`. What the engines do, rule by
# rule, and in which functions: `docs/how-it-works.md`.
