"""A real Prometheus server (Debian package ``prometheus``) that scrapes what a test tells it to."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from loadtests.foundation.children import Child
from loadtests.foundation.http_client import fetch
from support.tools import needed_tool

_PATIENCE_S = 30.0


@dataclass(frozen=True)
class RunningPrometheus:
    url: str
    pid: int


@contextmanager
def start_prometheus(folder: Path, ports: Sequence[int], *, every: str = "1s") -> Iterator[RunningPrometheus]:
    """Scrape ``/metrics`` of these local ports; the server binds a free port and is ended with the block."""
    command = needed_tool("prometheus")
    targets = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    config = folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: {every}, scrape_timeout: {every}}}\n"
        f"scrape_configs: [{{job_name: staging, static_configs: [{{targets: [{targets}]}}]}}]\n",
        encoding="utf-8",
    )
    words = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", "--web.listen-address=127.0.0.1:0"]
    child = Child([command, *words, "--log.level=warn"], folder=folder)
    try:
        yield RunningPrometheus(_ready_url(child), child.pid)
    finally:
        child.end()


def write_history(folder: Path, lines: Sequence[str]) -> None:
    """Put samples with times of their own (OpenMetrics text) where `start_prometheus` keeps its data."""
    text = folder / "history.txt"
    text.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    command = [needed_tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def _ready_url(child: Child) -> str:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and child.exit_code is None:
        for item in psutil.Process(child.pid).net_connections("inet"):
            url = f"http://127.0.0.1:{item.laddr.port}"
            if item.status == psutil.CONN_LISTEN and _is_ready(url):
                return url
        time.sleep(0.05)
    raise AssertionError(f"Prometheus did not start:\n{child.last_errors()}")


def _is_ready(url: str) -> bool:
    try:
        return fetch(f"{url}/-/ready", timeout_s=1.0).status == 200
    except OSError:
        return False
