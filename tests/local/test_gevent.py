"""Greenlets have contexts of their own, and to a patched process each of them is a thread."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers.locals import both_kinds

pytest.importorskip("gevent")

CODE = """
import gevent.monkey
gevent.monkey.patch_all()

import gc, threading, weakref
import gevent
from asgi_local import Local

class Value: pass

local, dead = Local({thread_critical}), []
local.value = "main's"

def greenlet(number):
    before = getattr(local, "value", None)
    local.value = value = Value()
    value.number = number
    dead.append(weakref.ref(value))
    del value
    gevent.sleep(0)
    return before, local.value.number

gc.disable()
greenlets = [gevent.spawn(greenlet, number) for number in range(100)]
gevent.joinall(greenlets)
assert [g.value[1] for g in greenlets] == list(range(100))
assert {{g.value[0] for g in greenlets}} == {{None}}, greenlets[0].value
assert local.value == "main's"
del greenlets
gevent.sleep(0)
gevent.sleep(0)
left = sum(reference() is not None for reference in dead)
assert left == 0, left
"""


@both_kinds
def test_a_greenlet_sees_its_own_values_and_leaves_nothing_behind(thread_critical: bool) -> None:
    code = CODE.format(thread_critical=thread_critical)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
