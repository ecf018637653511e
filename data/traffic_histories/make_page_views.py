"""Makes the files of page views from the published ones: logarithms back to counts, days in order.

Run: ./run python data/traffic_histories/make_page_views.py
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

HERE = Path(__file__).parent
FILES = {
    "wikipedia_r_daily.csv": ("example_wp_log_R.csv", "ds"),
    "wikipedia_peyton_manning_daily.csv": ("daily_peyton_manning.csv", "ts"),
}

for name, (published, day) in FILES.items():
    with (HERE / "source" / published).open(encoding="utf-8", newline="") as stream:
        days = sorted((row[day], round(math.exp(float(row["y"])))) for row in csv.DictReader(stream))
    with (HERE / name).open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("timestamp", "value"))
        rows.writerows(days)
