import contextlib
import gc
import subprocess
import sys

import pytest

import loadtests
from loadtests.foundation.lazy import collector_paused


def test_every_public_name_loads_and_is_listed():
    for name in loadtests.__all__:
        assert getattr(loadtests, name).__name__ == name
    assert set(loadtests.__all__) <= set(dir(loadtests))


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="loadtests"):
        _ = loadtests.nothing


def test_importing_the_package_loads_nothing_heavy_and_recording_never_loads_locust():
    script = (
        "import sys, loadtests\n"
        "heavy = {'numpy', 'pandas', 'locust', 'gevent', 'granian', 'starlette', 'pyarrow'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "loadtests.record, loadtests.start_staging, loadtests.read_recording\n"
        "assert not {'locust', 'gevent', 'granian', 'starlette'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("is_on", [True, False])
def test_the_collector_is_afterwards_as_it_was_before(is_on):
    was_on = gc.isenabled()
    (gc.enable if is_on else gc.disable)()
    try:
        with contextlib.suppress(ImportError), collector_paused():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == is_on
    finally:
        (gc.enable if was_on else gc.disable)()
