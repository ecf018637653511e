"""The names that `loadtests` offers say what they take, return and raise, in numpydoc's sections."""

import inspect

import pytest

import loadtests
from loadtests.foundation.errors import CapacityError

NAMES = sorted(loadtests.__all__)
OF_THE_PROTOCOL = (  # documented once, in `Distribution`
    "quantile_s", "upper_quantile_s", "probability_s", "upper_probability_s",
)  # fmt: skip


def public_callables():
    for name in NAMES:
        item = getattr(loadtests, name)
        yield name, item
        if inspect.isclass(item):
            for own, member in vars(item).items():
                called = getattr(member, "__func__", member)
                if not own.startswith("_") and own not in OF_THE_PROTOCOL and inspect.isfunction(called):
                    yield f"{name}.{own}", called


def parameters(item):
    return [name for name in inspect.signature(item).parameters if name not in ("self", "cls")]


def has_section(item, title):
    return f"{title}\n{'-' * len(title)}\n" in inspect.getdoc(item)


@pytest.mark.parametrize(("name", "item"), [pytest.param(*pair, id=pair[0]) for pair in public_callables()])
def test_every_parameter_is_documented(name, item):
    if parameters(item):
        assert has_section(item, "Parameters"), name
        for parameter in parameters(item):
            assert parameter in inspect.getdoc(item).split("Parameters\n", 1)[1], (name, parameter)


@pytest.mark.parametrize(("name", "item"), [pytest.param(*pair, id=pair[0]) for pair in public_callables()])
def test_what_functions_with_parameters_return_is_documented(name, item):
    if not inspect.isclass(item) and parameters(item):
        assert has_section(item, "Returns") or has_section(item, "Yields"), name


@pytest.mark.parametrize("name", ["record", "read_recording", "read_deployment", "parse_distribution", "start_staging"])
def test_functions_that_refuse_input_document_their_errors(name):
    item = getattr(loadtests, name)
    assert has_section(item, "Raises")
    assert any(kind.__name__ in inspect.getdoc(item) for kind in CapacityError.__subclasses__())
