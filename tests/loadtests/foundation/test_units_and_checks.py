import pytest

from loadtests.foundation.checks import finite, non_negative, one_of, positive, whole
from loadtests.foundation.errors import CapacityError, InputError, RunError
from loadtests.foundation.units import Quantity, format_duration, parse_duration_s, parse_fraction


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50ms", 0.05),
        ("0.05", 0.05),
        ("30s", 30.0),
        ("2m", 120.0),
        ("2min", 120.0),
        ("1h", 3600.0),
        ("7us", 7e-6),
        (3, 3.0),
    ],
)
def test_durations_read_with_and_without_units(text, seconds):
    assert parse_duration_s(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("text", ["", "5 parsecs", "-1s", "nan", "inf", "1e", "s"])
def test_a_duration_that_makes_no_sense_is_refused_with_its_text(text):
    with pytest.raises(InputError, match="duration"):
        parse_duration_s(text)


@pytest.mark.parametrize(("text", "fraction"), [("0.1%", 0.001), ("0.001", 0.001), ("100%", 1.0), (0, 0.0)])
def test_fractions_read_with_and_without_percent(text, fraction):
    assert parse_fraction(text) == pytest.approx(fraction, rel=1e-12)


@pytest.mark.parametrize("text", ["101%", "-0.1", "1.5", "five"])
def test_a_fraction_outside_0_and_1_is_refused(text):
    with pytest.raises(InputError, match="fraction"):
        parse_fraction(text)


def test_a_quantity_that_is_not_known_lists_the_known_ones():
    assert Quantity.parse("users") is Quantity.USERS
    with pytest.raises(InputError, match="users, connections, in_flight, rps, ccu"):
        Quantity.parse("people")


def test_durations_for_people_pick_their_unit():
    assert [format_duration(value) for value in (0.0008, 0.0531, 1.25, 150)] == [
        "0.8 ms",
        "53.1 ms",
        "1.25 s",
        "2.5 min",
    ]


@pytest.mark.parametrize(
    "check",
    [
        lambda: finite("x", float("nan")), lambda: finite("x", "many"), lambda: positive("x", 0),
        lambda: non_negative("x", -1e-9), lambda: whole("x", 1.5), lambda: whole("x", 0, least=1),
        lambda: whole("x", 9, most=8), lambda: one_of("x", "c", ("a", "b")),
    ],
)  # fmt: skip
def test_a_check_names_what_it_refuses(check):
    with pytest.raises(InputError, match=r"^x is"):
        check()


def test_errors_carry_their_exit_code_and_a_builtin_base():
    assert issubclass(InputError, ValueError)
    assert issubclass(RunError, RuntimeError)
    assert (CapacityError.exit_code, InputError.exit_code, RunError.exit_code) == (1, 2, 1)
