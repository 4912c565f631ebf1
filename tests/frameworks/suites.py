"""Which tests of which frameworks are run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

# Where Django's own code and tests meet asgiref. The first ones take seconds, the last three most
# of two minutes, which they spend asleep for the most part.
FAST_LABELS = (
    "asgi",
    "async",
    "handlers",
    "middleware",
    "requests_tests",
    "signals",
    "test_client",
)
SLOW_LABELS = ("servers", "cache", "auth_tests")


@dataclass(frozen=True)
class Suite:
    """The tests of one framework, in its source distribution.

    Attributes:
        name: For people, and for the command line.
        requirement: What is fetched.
        package: What is imported of it.
        sources: The folder in the distribution that `package` is imported from.
        tests: The folder or file in the distribution without which it has no tests.
        program: What runs them: Django's own script, or pytest.
        arguments: Of that program, in the folder of the distribution.
        quick: The arguments of a quick run; None if a quick run leaves the suite out.
        witnesses: Names, as `module:attribute`, by which the framework refers to the bridge. Each
            must be the very object of the library that is tested.
        python: The oldest Python that the framework supports, if older ones are supported here.
    """

    name: str
    requirement: str
    package: str
    program: str
    arguments: tuple[str, ...]
    tests: str
    quick: tuple[str, ...] | None = None
    sources: str = "."
    witnesses: tuple[str, ...] = ()
    python: tuple[int, int] = (3, 11)

    def is_supported(self) -> bool:
        """Return whether the running Python is new enough."""
        return sys.version_info[:2] >= self.python

    def has_tests(self, tree: Path) -> bool:
        """Return whether the tests are part of what was fetched."""
        return (tree / self.tests).exists()

    def arguments_for(self, *, quick: bool) -> tuple[str, ...]:
        """Return the arguments of the program, for a quick run if there is one."""
        return self.quick if quick and self.quick is not None else self.arguments


def _django(name: str, requirement: str, python: tuple[int, int], *, is_quick: bool) -> Suite:
    return Suite(
        name=name,
        requirement=requirement,
        package="django",
        program="tests/runtests.py",
        # One process, in which all is counted and of which is known what it imports.
        arguments=("--parallel=1", *FAST_LABELS, *SLOW_LABELS),
        quick=("--parallel=1", *FAST_LABELS) if is_quick else None,
        tests="tests/runtests.py",
        witnesses=(
            "django.core.handlers.asgi:sync_to_async",
            "django.core.handlers.asgi:ThreadSensitiveContext",
            "django.core.handlers.base:async_to_sync",
            "django.dispatch.dispatcher:sync_to_async",
            "django.utils.connection:Local",
        ),
        python=python,
    )


def _opentelemetry(instrumented: str, witness: str, tests: str) -> Suite:
    return Suite(
        name=f"opentelemetry-{instrumented}",
        # All its releases are betas, which only work together with all others of the same version.
        requirement=f"opentelemetry-instrumentation-{instrumented}==0.66b1",
        package=f"opentelemetry.instrumentation.{instrumented}",
        program="pytest",
        # Without those that compare how long something took with how long it is said to have taken.
        arguments=("tests", "-k", "not basic_metric_success and not wsgi_metrics"),
        sources="src",
        tests=tests,
        witnesses=(witness,),
    )


SUITES = (
    _django("django-lts", "django>=5.2,<5.3", (3, 11), is_quick=True),
    _django("django-newest", "django>=6,<7", (3, 12), is_quick=False),
    Suite(
        name="flask",
        requirement="flask>=3,<4",
        package="flask",
        program="pytest",
        arguments=("tests",),
        quick=("tests/test_async.py",),
        sources="src",
        tests="tests/test_async.py",
    ),
    Suite(
        name="channels",
        requirement="channels>=4,<5",
        package="channels",
        program="pytest",
        arguments=("tests",),
        tests="tests",
        witnesses=("channels.db:SyncToAsync",),
    ),
    # The server of Channels: its tests drive whole HTTP and WebSocket requests.
    Suite(
        name="daphne",
        requirement="daphne>=4,<5",
        package="daphne",
        program="pytest",
        arguments=("tests",),
        tests="tests/test_cli.py",
        witnesses=("daphne.cli:guarantee_single_callable",),
    ),
    # Middleware around applications, with the communicator; and around Django's requests, where a
    # span must follow the code across the bridge.
    _opentelemetry(
        "asgi",
        "opentelemetry.instrumentation.asgi:guarantee_single_callable",
        "tests/test_asgi_middleware.py",
    ),
    _opentelemetry(
        "django",
        "django.core.handlers.base:sync_to_async",
        "tests/test_middleware_asgi.py",
    ),
)
