from __future__ import annotations

import copy
import pickle
import sys
from types import FrameType
from typing import Any

import pytest
from helpers.locals import both_kinds

from asgi_local import Local, Schema


@both_kinds
def test_an_attribute_can_be_set_read_changed_and_deleted(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = 1
    assert local.value == 1
    local.value = 2
    assert local.value == 2
    del local.value
    assert not hasattr(local, "value")


@both_kinds
def test_reading_or_deleting_what_is_not_set_is_an_attribute_error(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with pytest.raises(AttributeError, match="'missing'"):
        _ = local.missing
    with pytest.raises(AttributeError, match="'missing'"):
        del local.missing


@both_kinds
def test_any_value_is_kept_as_it_is(thread_critical: bool) -> None:
    local, values = Local(thread_critical), [None, False, object(), AttributeError, [1]]
    for value in values:
        local.value = value
        assert local.value is value


@pytest.mark.parametrize(
    "name",
    [
        "override",
        "_asgi_local_storage",
        "__class__",
        "__dict__",
        "__init__",
        "__iter__",
        "__repr__",
    ],
)
def test_a_name_that_the_object_needs_itself_cannot_be_set(name: str) -> None:
    local = Local()
    with pytest.raises(AttributeError, match=name):
        setattr(local, name, 1)
    local.still_works = True
    assert local.still_works


def test_two_locals_have_nothing_in_common() -> None:
    first, second = Local(), Local()
    first.value = 1
    assert not hasattr(second, "value")


def test_it_is_a_class_that_can_be_subclassed_but_not_usefully() -> None:
    class Derived(Local):
        pass

    assert isinstance(Local(), Local)
    with pytest.raises(TypeError, match="cannot be subclassed"):
        Derived()


def test_a_subclass_with_an_init_of_its_own_is_no_more_use() -> None:
    class Derived(Local):
        def __init__(self, first: int, second: int) -> None:
            raise NotImplementedError

    with pytest.raises(TypeError, match="cannot be subclassed"):
        Derived(1, second=2)


@both_kinds
def test_its_type_cannot_be_called_either(thread_critical: bool) -> None:
    with pytest.raises(TypeError, match="cannot be subclassed"):
        type(Local(thread_critical))()


@both_kinds
def test_its_type_cannot_be_changed_for_the_next_local(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with pytest.raises(TypeError, match="cannot change 'value'"):
        type(local).value = property(lambda self: 1)
    with pytest.raises(TypeError, match="cannot change '__getattribute__'"):
        del type(local).__getattribute__
    assert not hasattr(local, "value")


def test_the_class_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    local = Local()
    with monkeypatch.context() as patch:
        patch.setattr(Local, "value", property(lambda self: 1), raising=False)
        assert local.value == 1
    assert not hasattr(local, "value")


@both_kinds
def test_it_says_that_it_is_a_local(thread_critical: bool) -> None:
    local = Local(thread_critical)
    assert isinstance(local, Local)
    assert local.__class__ is Local
    assert type(local).__name__ == type(local).__qualname__ == "Local"
    assert type(local).__module__ == Local.__module__


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_cannot_be_copied_or_pickled(copied: Any) -> None:
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        copied(Local())


@both_kinds
def test_any_other_name_can_be_set(thread_critical: bool) -> None:
    local, names = Local(thread_critical), ["self", "name", "mro", "_local", "__mine__", "", "a b"]
    for name in names:
        setattr(local, name, name)
    assert [getattr(local, name) for name in names] == names


@both_kinds
def test_an_error_of_a_missing_attribute_has_no_context(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with pytest.raises(AttributeError) as read:
        _ = local.missing
    with pytest.raises(AttributeError) as deleted:
        del local.missing
    assert read.value.__context__ is deleted.value.__context__ is None


@both_kinds
def test_an_error_raised_by_a_property_of_a_value_is_not_taken_for_a_missing_attribute(
    thread_critical: bool,
) -> None:
    class Sized:
        @property
        def size(self) -> int:
            raise KeyError("size")

    local = Local(thread_critical)
    local.value = Sized()
    with pytest.raises(KeyError, match="size"):
        _ = local.value.size


# What is set here


@both_kinds
def test_iterating_gives_the_names_and_values_that_are_set(thread_critical: bool) -> None:
    local = Local(thread_critical)
    assert list(local) == []
    local.a, local.b = 1, 2
    assert dict(local) == {"a": 1, "b": 2}
    del local.a
    assert list(local) == [("b", 2)]


@both_kinds
def test_attributes_can_be_changed_while_iterating(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.a, local.b = 1, 2
    for name, _ in local:
        delattr(local, name)
    assert list(local) == []


@both_kinds
def test_a_signal_handler_can_change_attributes_while_iterating(thread_critical: bool) -> None:
    local = Local(thread_critical)
    for number in range(100):
        setattr(local, f"a{number}", number)

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        # As a signal handler would, between any two instructions.
        frame.f_trace_opcodes = True
        sys.settrace(None)
        setattr(local, f"b{len(seen)}", seen.append(event))
        sys.settrace(trace)
        return trace

    seen = list[str]()
    sys.settrace(trace)
    try:
        values = list(local)
    finally:
        sys.settrace(None)
    assert "opcode" in seen
    assert len(values) >= 100


@both_kinds
def test_dir_lists_what_is_set_and_what_every_local_has(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.a = 1
    assert {"a", "override", "__class__"} <= set(dir(local))


def test_its_repr_tells_what_is_set_here() -> None:
    local, critical = Local(), Local(thread_critical=True)
    assert repr(local) == f"<Local at {id(local):#x}: nothing set here>"
    local.a, local.b = 1, "x"
    critical.a = 1
    assert repr(local) == f"<Local at {id(local):#x}: a=1, b='x'>"
    assert repr(critical) == f"<Local(thread_critical=True) at {id(critical):#x}: a=1>"


def test_its_repr_is_short_and_knows_itself() -> None:
    local = Local()
    local.itself, local.text = local, "x" * 10_000
    assert "itself=<Local ...>" in repr(local)
    assert len(repr(local)) < 200


# Typed: see also `tests/typing/usage_local.py`


def test_a_schema_is_for_type_checkers_only() -> None:
    class Request(Schema):
        number: int = 1

    assert Local[Request] is Local
    assert isinstance(Local[Request](), Local)
    assert isinstance(Local[Request](thread_critical=True), Schema)
    assert not hasattr(Local[Request](), "number")
