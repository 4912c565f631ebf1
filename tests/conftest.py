"""How thorough the property tests are: hypothesis' profiles.

| profile | random programs | when                                         |
|---------|-----------------|----------------------------------------------|
| dev     | 300             | in every run of the tests                    |
| ci      | 2,000           | where RANDOM_PROGRAMS=ci, as in `.ci/run`    |
| long    | 100,000         | by hand, after a change of the thread rules: |

    hatch test -- --hypothesis-profile=long tests/sync/test_properties.py
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

# Next to pytest's own, not in the folder that the tests are started from.
set_hypothesis_home_dir(Path(__file__).parent / ".pytest_cache" / "hypothesis")

for name, max_examples in [("dev", 300), ("ci", 2_000), ("long", 100_000)]:
    settings.register_profile(
        name,
        max_examples=max_examples,
        # A limit for a single example would depend on the speed of the machine.
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("RANDOM_PROGRAMS", "dev"))
