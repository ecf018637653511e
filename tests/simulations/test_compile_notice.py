"""Compiling a kernel takes up to half a minute: it is said, once, and only when it happens."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from numba.core import event

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from simulations import Fleet, OpenWorkload, ServerModel, simulate
from simulations.engines import event_kernel, recursion_kernels
from simulations.engines.compile_notice import CompileNotice

KERNELS = """
from numba import njit

@njit(cache=True)
def slow(number):
    return number + 1

@njit(cache=True)
def quick(number):
    return number - 1
"""


def kernels(folder: Path) -> ModuleType:
    """A module of two kernels, as a new process would load it: nothing compiled, the cache on disk as it is."""
    path = folder / "kernels.py"
    if not path.exists():
        path.write_text(KERNELS)
    spec = importlib.util.spec_from_file_location("kernels", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "simulations"]


def test_it_is_said_when_the_kernel_is_compiled_and_not_when_it_comes_from_the_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for expected in (["half a minute"], []):
        caplog.clear()
        module = kernels(tmp_path)
        with event.install_listener("numba:compile", CompileNotice(module.slow, "half a minute")):
            assert (module.quick(1), module.slow(1), module.slow(2)) == (0, 2, 3)
        assert said(caplog) == expected


@pytest.mark.parametrize(
    ("fleet", "kernel", "name"),
    [(Fleet(2), event_kernel.run, "event-driven"), (Fleet(), recursion_kernels.serve, "recursion")],
)
def test_each_kernel_is_listened_for_once_however_often_it_runs(
    fleet: Fleet, kernel: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = ServerModel(Deployment(workers=2, queue_capacity=2), Exponential(0.05))
    for _ in range(2):
        simulate(model, OpenWorkload(30.0), requests=500, fleet=fleet)
    caplog.clear()
    for compiled in (kernel, recursion_kernels.draw_services):
        event.broadcast(event.Event("numba:compile", event.EventStatus.START, {"dispatcher": compiled}))
    (told,) = said(caplog)
    assert told.startswith(f"Compiling the {name} kernel: ")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
