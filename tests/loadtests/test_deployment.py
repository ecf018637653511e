import json

import numpy as np
import pytest

from loadtests.deployment import Deployment, read_deployment
from loadtests.foundation.errors import InputError


def test_the_guide_s_instance_has_335_workers_a_queue_of_3015_and_a_gate_at_3350():
    guide = Deployment.guide()
    assert (guide.normal_ccu, guide.workers, guide.queue_capacity, guide.gate) == (3_350, 335, 3_015, 3_350)
    assert (guide.max_ccu, guide.db_pool, guide.cpu_cores) == (5_000, 100, 4.0)


@pytest.mark.parametrize(
    ("max_ccu", "percent", "normal", "workers", "queue"),
    [
        (5_000, 67, 3_350, 335, 3_015),
        (15_000, 67, 10_050, 500, 9_550),
        (300, 67, 201, 50, 151),
        (10, 67, 6, 50, 100),
        (5_000, 1, 50, 50, 100),
        (5_000, 100, 5_000, 500, 4_500),
    ],
)
def test_limits_follow_the_server_s_rule(max_ccu, percent, normal, workers, queue):
    made = Deployment.from_utilization(max_ccu, percent)
    assert (made.normal_ccu, made.workers, made.queue_capacity, made.gate) == (normal, workers, queue, workers + queue)


@pytest.mark.parametrize("percent", [0, 101, -5, 0.5, 1000])
def test_a_percentage_out_of_range_becomes_67_as_the_server_does(percent):
    assert Deployment.from_utilization(5_000, percent) == Deployment.from_utilization(5_000, 67)


def test_overflow_takes_the_whole_of_max_as_normal():
    assert Deployment.from_overflow(1_000).normal_ccu == 1_000
    made = Deployment.from_overflow(5_000)
    assert (made.utilization_percent, made.workers, made.queue_capacity, made.gate) == (100, 500, 4_500, 5_000)
    with pytest.raises(InputError, match="max_ccu"):
        Deployment.from_overflow(0)


def test_the_gate_is_workers_plus_queue_unless_it_is_given():
    assert Deployment(workers=5, queue_capacity=2).gate == 7
    assert Deployment(workers=5, queue_capacity=2, gate_limit=6).gate == 6
    assert Deployment(workers=5).gate is None
    assert Deployment(workers=5, queue_capacity="unlimited").gate == "unlimited"


@pytest.mark.parametrize(
    "limits",
    [
        {"workers": 0},
        {"queue_capacity": -1},
        {"db_pool": 1.5},
        {"max_ccu": "unlimited"},
        {"utilization_percent": 0},
        {"queue_timeout_s": 0},
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_its_name(limits):
    with pytest.raises(InputError, match=next(iter(limits))):
        Deployment(**limits)


def test_a_deployment_reads_from_json_and_toml(tmp_path):
    (tmp_path / "d.json").write_text('{"max_ccu": 300, "workers": 50}')
    (tmp_path / "d.toml").write_text('max_ccu = 300\nworkers = 50\nqueue_capacity = "unlimited"\n')
    assert read_deployment(tmp_path / "d.json") == Deployment(max_ccu=300, workers=50)
    assert read_deployment(tmp_path / "d.toml").queue_capacity == "unlimited"


@pytest.mark.parametrize(
    "text",
    [
        'utilization_percent = "67"',
        'workers = "50"',
        "workers = true",
        'cpu_cores = "unlimited"',
        'request_timeout_s = "5s"',
        "max_ccu = [300]",
    ],
)
def test_a_limit_written_as_text_or_truth_value_is_refused(tmp_path, text):
    (tmp_path / "d.toml").write_text(text)
    with pytest.raises(InputError, match=rf"^{text.split()[0]} is .*must be a number \(in a file: without quotes\)"):
        read_deployment(tmp_path / "d.toml")


def test_a_number_without_end_is_refused():
    with pytest.raises(InputError, match=r"^workers has more digits"):
        Deployment.from_dict({"workers": 10**400})
    with pytest.raises(InputError, match="must be an object"):
        Deployment.from_dict([300])


def test_numbers_of_other_libraries_are_stored_as_plain_ones():
    made = Deployment(workers=np.int64(5), cpu_cores=np.float64(4), utilization_percent=67)
    assert json.dumps(made.to_dict()) == '{"utilization_percent": 67.0, "workers": 5, "cpu_cores": 4.0}'


def test_an_unknown_key_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"no wokers; allowed are .*workers"):
        Deployment.from_dict({"wokers": 3})


def test_only_what_is_stated_is_written():
    assert Deployment(workers=5).to_dict() == {"workers": 5}
    assert Deployment.from_dict(Deployment.guide().to_dict()) == Deployment.guide()
