"""Recordings of real servers, made again by one command.

``./run python tests/studies/record_servers.py [NAME ...]`` records what is missing of the servers named (all of them)
into ``data/recordings``; a level or recording that is there is left alone, so the command may be stopped and
repeated. To record one again, delete its folder. Third-party servers are found in the environment ``--servers``
(``pip install uvicorn waitress gunicorn sqlalchemy`` in a new one) and on the PATH (haproxy); ``--priority``
takes root. Times are real: about eight minutes a third-party server, four a staging server.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from studies.server_recordings.machine import take_priority
from studies.server_recordings.record_third_party import Tools, record_third_party
from studies.server_recordings.third_party import SERVERS

RECORDINGS = Path(__file__).parents[2] / "data" / "recordings"


def main() -> None:
    """Record what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="recordings to make; none: all")
    parser.add_argument("--servers", type=Path, default=Path(os.environ.get("VIRTUAL_ENV", "/usr")))
    parser.add_argument("--out", type=Path, default=RECORDINGS)
    parser.add_argument("--seconds", type=int, help="length of a level instead of its own, to try things out")
    parser.add_argument("--priority", type=int, help="niceness of servers and load generators, such as -15")
    parser.add_argument("--no-repeats", action="store_true", help="leave out the repeats of levels at the knee")
    given = parser.parse_args()
    if given.priority is not None:
        take_priority(given.priority)
    by_name = {server.name: server for server in SERVERS}
    for name in given.names or by_name:
        server = by_name[name]
        folder, tools = given.out / "third_party" / server.name, Tools(given.servers)
        record_third_party(server, folder, tools, seconds=given.seconds, repeats=not given.no_repeats)


if __name__ == "__main__":
    main()
