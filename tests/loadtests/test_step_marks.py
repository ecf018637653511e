"""When steps begin and end in a test without a shape of ours."""

from types import SimpleNamespace

import pytest

from loadtests.locust_side.step_marks import UserCountMarks


class Happening(list):
    """One of Locust's events."""

    add_listener = list.append

    def fire(self, **event):
        for listener in self:
            listener(**event)


class Runner:
    """Locust's runner: asked to stop, it first looks up who asks, and all users wait; then it says that it stops."""

    def __init__(self, told):
        self.target_user_count = 3
        self._told = told

    def stop(self, *, send_stop_to_client=True):
        self._told.append(f"users wait, {send_stop_to_client}")


@pytest.fixture
def test_run():
    told = []
    events = SimpleNamespace(test_start=Happening(), spawning_complete=Happening())
    environment = SimpleNamespace(events=events, runner=Runner(told))
    marks = UserCountMarks(environment, lambda event, step, users: told.append((event, step, users)))
    marks.attach()
    return environment, marks, told


def test_a_step_ends_before_locust_holds_its_users_up(test_run):
    environment, _, told = test_run
    environment.events.test_start.fire()
    environment.events.spawning_complete.fire(user_count=3)
    environment.runner.stop(send_stop_to_client=False)
    assert told == [("asked", 1, 3), ("reached", 1, 3), ("ended", 1, 3), "users wait, False"]


def test_a_test_that_is_started_again_has_another_step_and_ends_once_each_time(test_run):
    environment, _, told = test_run
    for _ in range(2):
        environment.events.test_start.fire()
        environment.runner.stop()
    environment.runner.stop()
    steps = [item for item in told if not isinstance(item, str)]
    assert steps == [("asked", 1, 3), ("ended", 1, 3), ("asked", 2, 3), ("ended", 2, 3)]
    assert told[-2:] == ["users wait, True"] * 2


def test_a_shape_that_marks_its_own_steps_is_left_to_do_so(test_run):
    environment, marks, told = test_run
    marks.is_left_to_a_shape = True
    environment.events.test_start.fire()
    environment.events.spawning_complete.fire(user_count=3)
    environment.runner.stop()
    assert told == ["users wait, True"]
