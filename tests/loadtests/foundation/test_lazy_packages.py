import subprocess
import sys

import pytest

import loadtests


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
