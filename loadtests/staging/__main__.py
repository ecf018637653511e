"""``python -m loadtests.staging OPTIONS_JSON``: the server as a child process."""

import sys

from loadtests.staging.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
