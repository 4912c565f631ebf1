"""What differs between two runs of the same tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.frameworks.running import ASGIREF, OURS, Ran

ABSENT = "absent"


@dataclass(frozen=True)
class Compared:
    """A suite, on both libraries.

    Attributes:
        name: Of the suite and its version.
        ran: On either library; empty if nothing was run.
        remark: Why nothing was run.
        worse: Tests that pass on asgiref and not on ours, with how they end there: one that ours
            does not come to, or skips, is no test that passes.
        better: Tests that pass on ours only, with how they end on asgiref.
        unsteady: Tests that were worse in one of two runs.
    """

    name: str
    ran: Mapping[str, Ran] = field(default_factory=dict)
    remark: str = ""
    worse: Mapping[str, str] = field(default_factory=dict)
    better: Mapping[str, str] = field(default_factory=dict)
    unsteady: Sequence[str] = ()

    @property
    def troubles(self) -> dict[str, str]:
        """Why the run does not say anything, by library."""
        found = {name: ran.trouble for name, ran in self.ran.items() if ran.trouble}
        if self.ran and not found and not self.ran[ASGIREF].count("passed"):
            # Nothing could differ then.
            found[ASGIREF] = "\n".join(["no test passes", *self.ran[ASGIREF].details.values()])
        return found

    @property
    def is_good(self) -> bool:
        """Whether what passes on asgiref passes on ours."""
        return not self.worse and not self.troubles


def compare(name: str, ran: Mapping[str, Ran]) -> Compared:
    """Compare the outcomes of a suite on asgiref with those on ours."""
    theirs, ours = ran[ASGIREF].outcomes, ran[OURS].outcomes
    return Compared(name, ran, worse=_lost(theirs, ours), better=_lost(ours, theirs))


def confirmed(first: Compared, second: Compared) -> Compared:
    """The second of two runs of a suite, with only those tests worse that were so in both."""
    worse = {test: outcome for test, outcome in second.worse.items() if test in first.worse}
    once = {*first.worse, *second.worse} - worse.keys()
    return replace(second, worse=worse, unsteady=sorted(once))


def _lost(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    return {
        test: after.get(test, ABSENT)
        for test, outcome in sorted(before.items())
        if outcome == "passed" and after.get(test) != "passed"
    }
