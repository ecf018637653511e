import itertools

import numpy as np
import pytest

from loadtests.foundation.errors import InputError
from loadtests.foundation.seeds import generator
from loadtests.load.pacing import THINK, Pacing, due_times_s, parse_pacing


def first(pacing, count, seed=1):
    return np.array(list(itertools.islice(due_times_s(pacing, generator(seed)), count)))


@pytest.mark.parametrize("pacing", [THINK, Pacing("poisson", 1 / 3), Pacing("constant", 20.0)])
def test_a_pacing_s_text_reads_back(pacing):
    assert parse_pacing(pacing.text()) == pacing


@pytest.mark.parametrize(
    "text", ["", "poisson", "poisson:0", "poisson:-1", "poisson:x", "poisson:nan", "think:2", "open:3"]
)
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
