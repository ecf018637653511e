import itertools

import numpy as np
import pytest

from loadtests.foundation.errors import InputError
from loadtests.foundation.seeds import generator
from loadtests.load.pacing import THINK, Pacing, due_times_s, parse_pacing


def first(pacing, count, seed=1):
    return np.array(list(itertools.islice(due_times_s(pacing, generator(seed)), count)))


@pytest.mark.parametrize(
    "pacing", [THINK, Pacing("poisson", 1 / 3), Pacing("constant", 20.0), Pacing("sessions", 0.3, 4.5)]
)
def test_a_pacing_s_text_and_json_read_back(pacing):
    assert parse_pacing(pacing.text()) == pacing
    assert Pacing(**pacing.to_dict()) == pacing


@pytest.mark.parametrize(
    "text",
    ["", "poisson", "poisson:0", "poisson:-1", "poisson:x", "poisson:nan", "think:2", "open:3", "sessions",
     "sessions:2:0.5", "sessions:0:3", "poisson:2:3", "sessions:2:x"],
)  # fmt: skip
def test_a_pacing_that_cannot_be_is_refused_with_the_grammar(text):
    with pytest.raises(InputError, match="poisson:RATE or constant:RATE"):
        parse_pacing(text)


def test_a_constant_schedule_is_exact_beyond_a_block_with_a_phase_of_its_own():
    due = first(Pacing("constant", 4.0), 1_000)
    assert 0 <= due[0] < 0.25
    np.testing.assert_allclose(np.diff(due), 0.25, rtol=1e-9)
    assert due[0] != first(Pacing("constant", 4.0), 1, seed=2)[0]


def test_a_poisson_schedule_has_its_rate_and_exponential_gaps():
    count = 20_000
    due = first(Pacing("poisson", 5.0), count)
    gaps = np.diff(due, prepend=0.0)
    assert (gaps > 0).all()
    error = 4 / np.sqrt(
        count
    )  # four standard errors of the mean and, for exponential gaps, of the deviation (cv^2 = 8/n)
    assert gaps.mean() * 5 == pytest.approx(1, abs=error)
    assert gaps.std() * 5 == pytest.approx(1, abs=4 * np.sqrt(2 / count))
    np.testing.assert_array_equal(due, first(Pacing("poisson", 5.0), count))


def test_a_source_starts_sessions_at_its_rate_over_their_length():
    pacing, count = Pacing("sessions", 6.0, 3.0), 20_000
    assert (pacing.schedule_rate_per_s, pacing.loop) == (2.0, "sessions")
    gaps = np.diff(first(pacing, count), prepend=0.0)
    assert gaps.mean() * 2 == pytest.approx(1, abs=4 / np.sqrt(count))


def test_requests_of_sessions_vary_as_a_compound_poisson_process():
    pacing, random, seconds, trials = Pacing("sessions", 5.0, 4.0), generator(3), 20.0, 4_000
    sessions = random.poisson(pacing.schedule_rate_per_s * seconds, trials)
    counts = np.array([random.geometric(1 / 4.0, count).sum() for count in sessions])
    ratio = counts.var() / counts.mean()
    assert ratio == pytest.approx(pacing.count_variance, rel=5 * np.sqrt(2 / trials))
    assert Pacing("poisson", 5.0).count_variance == 1
