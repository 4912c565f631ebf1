"""Random programs against a model of the thread rules; see `helpers.programs`.

How many are tried depends on hypothesis' profile, see `tests/conftest.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.program_check import differences
from helpers.program_child import ProgramRunner
from helpers.program_model import predict
from helpers.program_strategies import programs
from helpers.programs import Program
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProgramRunner]:
    with ProgramRunner(tmp_path_factory.mktemp("child") / "stderr") as runner:
        yield runner
        assert not runner.end_child()


# A hang is found by the runner; this is the time for all examples, and for making one of them
# as small as it can be.
@pytest.mark.timeout(24 * 3600)
@given(program=programs(), switch_interval=st.sampled_from([0.005, 1e-6]))
def test_programs_follow_rules_1_to_8(
    runner: ProgramRunner, program: Program, switch_interval: float
) -> None:
    prediction = predict(program)
    observed = runner.run(program, switch_interval, prediction.logged.total())
    assert not differences(prediction, observed)
