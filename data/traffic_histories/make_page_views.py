"""Makes wikipedia_r_daily.csv from the published file: logarithms back to counts, days in order.

Run: ./run python data/traffic_histories/make_page_views.py
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

HERE = Path(__file__).parent

with (HERE / "source" / "example_wp_log_R.csv").open(encoding="utf-8", newline="") as stream:
    days = sorted((row["ds"], round(math.exp(float(row["y"])))) for row in csv.DictReader(stream))
with (HERE / "wikipedia_r_daily.csv").open("w", encoding="utf-8", newline="") as stream:
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(("timestamp", "value"))
    rows.writerows(days)
