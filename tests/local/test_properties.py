"""Random programs against a model of who sees what; see `helpers.local_programs`.

How many are tried depends on hypothesis' profile, see `tests/conftest.py`.
"""

from __future__ import annotations

import sys

import pytest
from helpers.local_programs import Run, Steps, local_programs
from hypothesis import given
from hypothesis import strategies as st


# For all programs.
@pytest.mark.timeout(24 * 3600)
@given(program=local_programs(), switch_interval=st.sampled_from([0.005, 1e-6]))
def test_code_sees_what_was_set_in_its_own_lineage_and_nothing_else(
    program: Steps, switch_interval: float
) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(switch_interval)
    try:
        run = Run()
        run.run(program)
    finally:
        sys.setswitchinterval(before)
    assert not run.differences
