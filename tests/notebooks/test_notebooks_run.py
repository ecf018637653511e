"""Restart & Run All: every notebook runs in a fresh kernel, shows its charts, and equals its text twin."""

from __future__ import annotations

import ast
import base64
import json
import os
import re
import struct
import sys
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from ipykernel.kernelspec import write_kernel_spec
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SAVE_TO = os.environ.get("CAPACITY_KEEP_NOTEBOOKS")
"""Folder for the executed notebooks and their images, to look at."""


LAST_CELL = """\
import json, sys
print(json.dumps({"python": sys.executable, "gevent": "gevent" in sys.modules, "locust": "locust" in sys.modules}))
"""


class Executed:
    """A notebook after its run, and what a cell added at its end says of the kernel."""

    def __init__(self, path: Path, notebook: Any, seconds: float) -> None:
        self.path = path
        self.seconds = seconds
        *self.cells, last = [cell for cell in notebook.cells if cell.cell_type == "code"]
        self.kernel = json.loads(last.outputs[0].text)

    def outputs(self, code: str) -> list[Any]:
        """Outputs of the cell whose last line is `code`."""
        (cell,) = (cell for cell in self.cells if cell.source.rstrip().splitlines()[-1] == code)
        return list(cell.outputs)

    def text(self, code: str) -> str:
        """What that cell printed or showed as plain text."""
        outputs = self.outputs(code)
        return "".join(item.get("text", "") + item.get("data", {}).get("text/plain", "") for item in outputs)

    @property
    def images(self) -> list[bytes]:
        """The charts as PNG files."""
        found = [out.get("data", {}).get("image/png") for cell in self.cells for out in cell.outputs]
        return [base64.b64decode(item) for item in found if item is not None]


def run_all(path: Path, folder: Path) -> Executed:
    """Execute a notebook as if opened where it is, with this environment's interpreter as its kernel."""
    write_kernel_spec(folder / "kernels" / "python3")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(LAST_CELL))
    manager = AsyncKernelManager(
        kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(folder / "kernels")])
    )
    client = NotebookClient(notebook, km=manager, timeout=120, resources={"metadata": {"path": str(path.parent)}})
    began = time.monotonic()
    client.execute(cleanup_kc=True)  # it leaves a kernel of a given manager running otherwise
    executed = Executed(path, notebook, time.monotonic() - began)
    if SAVE_TO:
        Path(SAVE_TO).mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, Path(SAVE_TO) / path.name)
        for number, image in enumerate(executed.images):
            (Path(SAVE_TO) / f"{path.stem}-{number}.png").write_bytes(image)
    return executed


def alone_if_real(path: Path) -> Any:
    """Notebooks that start servers and Locust run with the real-time tests, others beside them."""
    is_real = "start_staging" in path.with_suffix(".py").read_text()
    marks = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")] if is_real else []
    return pytest.param(path, id=path.stem, marks=marks or pytest.mark.xdist_group(path.stem))


@pytest.fixture(scope="module", params=map(alone_if_real, NOTEBOOKS))
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Executed:
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("TMPDIR", str(folder))
        patch.delenv("MPLBACKEND", raising=False)
        return run_all(request.param, folder)


def first_plan(executed: Executed) -> Executed:
    if executed.path.stem != "01_first_plan":
        pytest.skip("another notebook")
    return executed


def model_and_engines(executed: Executed) -> Executed:
    if executed.path.stem != "02_model_and_engines":
        pytest.skip("another notebook")
    return executed


def load_tests(executed: Executed) -> Executed:
    if executed.path.stem != "03_load_tests_you_can_believe":
        pytest.skip("another notebook")
    return executed


def numbers_in(text: str) -> list[float]:
    """The numbers in it."""
    return [float(found) for found in re.findall(r"[0-9.]+", text)]


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height from a PNG's header."""
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


class TestExecuted:
    def test_no_cell_fails_or_complains(self, executed: Executed) -> None:
        outputs = [out for cell in executed.cells for out in cell.outputs]
        assert [out for out in outputs if out.output_type == "error"] == []
        said = [line for out in outputs if out.get("name") == "stderr" for line in out.text.splitlines()]
        assert [line for line in said if not line.startswith("Compiling the ")] == []  # the first run on a machine does
        assert all(cell.execution_count for cell in executed.cells)

    def test_the_kernel_is_this_environments_and_never_loads_locust(self, executed: Executed) -> None:
        assert executed.kernel == {"python": sys.executable, "gevent": False, "locust": False}

    def test_the_formula_gives_the_guides_instances(self, executed: Executed) -> None:
        table = first_plan(executed).text("formula").splitlines()
        counts = [row.split()[-2:] for row in table if row[:1].isdigit()]
        assert [int(low) for low, _ in counts] == [2, 2, 2, 3]
        assert [int(high) for _, high in counts] == [2, 2, 3, 4]

    def test_the_timeline_is_the_guides(self, executed: Executed) -> None:
        said = first_plan(executed).text("guide_timeline")
        assert said == "ScalingTimeline(vertical months 0-2, horizontal months 3-4, autoscaling month 5 on)"

    def test_the_measured_instance_gets_a_plan(self, executed: Executed) -> None:
        said = first_plan(executed).text("measured_plan")
        assert said.startswith("CapacityPlan(months 0-6")
        assert "users" in said

    def test_the_charts_are_shown(self, executed: Executed) -> None:
        images = first_plan(executed).images
        assert len(images) == 9
        assert all(width > 500 and height > 200 for width, height in map(size_of, images))

    def test_the_next_instance_has_an_order_date(self, executed: Executed) -> None:
        assert first_plan(executed).text("orders").startswith("OrderTimeline(fleet 1, ")

    def test_both_engines_are_shown_equal(self, executed: Executed) -> None:
        said = ast.literal_eval(model_and_engines(executed).outputs("equal")[-1]["data"]["text/plain"])
        assert "arrival_s" in said
        assert all(said.values())

    def test_a_retry_storm_outlasts_its_cause(self, executed: Executed) -> None:
        """The text beside the table claims it, so it must stay true."""
        table = model_and_engines(executed).text(
            'pd.DataFrame({"goodput after the burst (per second)": after}).round(0)'
        )
        goodput = {line[:-6].strip(): float(line.split()[-1]) for line in table.splitlines()[1:]}
        assert goodput["as it is"] < 20
        assert goodput["two attempts"] < 20
        assert goodput["line of 60"] == pytest.approx(280, rel=0.05)

    def test_the_charts_of_the_model_are_shown(self, executed: Executed) -> None:
        images = model_and_engines(executed).images
        assert len(images) == 3
        assert all(width > 500 and height > 200 for width, height in map(size_of, images))

    def test_the_bounds_hold_what_locusts_own_percentiles_miss(self, executed: Executed) -> None:
        """The text beside the table claims it, so it must stay true."""
        (shown,) = load_tests(executed).outputs("percentiles")
        cells = re.findall("<td>(.*?)</td>", shown["data"]["text/html"])
        assert len(cells) == 9
        for locusts, logged, bounds in zip(cells[0::3], cells[1::3], cells[2::3], strict=True):
            truth_ms = numbers_in(logged)[0]
            assert numbers_in(locusts)[0] < truth_ms
            assert numbers_in(bounds)[1] <= truth_ms <= numbers_in(bounds)[2]

    def test_the_imported_recording_is_trusted_and_its_model_holds(self, executed: Executed) -> None:
        assert "trusted" in load_tests(executed).text("check_recording(imported)")
        assert "pass" in load_tests(executed).text("print(report.summary())").splitlines()[0]

    def test_a_knee_search_ends_in_a_decision(self, executed: Executed) -> None:
        assert load_tests(executed).text("knee").startswith("KneeResult(")
        assert len(load_tests(executed).images) == 6

    def test_it_takes_less_than_two_minutes(self, executed: Executed) -> None:
        assert executed.seconds < 120  # under a minute on an idle machine, the third one a minute and a half


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_and_text_twin_are_in_step(path: Path) -> None:
    notebook, twin = jupytext.read(path), jupytext.read(path.with_suffix(".py"))
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in twin.cells
    ], f"Bring them in step: ./run jupytext --sync notebooks/{path.name}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS
