"""What a person in a hurry sees while a release is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.panel import Panel

from releasing.building import Built, digest

if TYPE_CHECKING:
    from releasing.plan import Plan
    from releasing.release import Options
    from releasing.trials import Siblings


class Report:
    """Prints the steps of a release."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()

    def say(self, text: str, style: str = "") -> None:
        """Print a line; what is in it is no markup."""
        self.console.print(escape(text), style=style, soft_wrap=True, highlight=False)

    def plan(self, plan: Plan) -> None:
        """What will be released, and what is to be released before and after it."""
        after = f"after {plan.last}" if plan.last else "the first release"
        self.say(f"{plan.package.name} {plan.version}, {after}", "bold")
        for first in plan.to_precede:
            self.say(
                f"! first release {first.sibling}: {first}, and no release of it is that", "red"
            )
        for then in plan.to_follow:
            self.say(f"! then release {then.package}: in its last release {then}", "yellow")

    def changelog(self, news: str) -> None:
        """What the changelog will say."""
        self.console.print(Panel(Markdown(news), title="CHANGELOG.md"))

    def done(self, text: str) -> None:
        """A step that went well."""
        self.say(f"✓ {text}", "green")

    def starts(self, text: str) -> None:
        """A step that takes long."""
        self.say(f"… {text}", "bold")

    def of_checkout(self, siblings: Siblings) -> str:
        """Which siblings are not from a release, in parentheses."""
        names = ", ".join(siblings.unreleased)
        return f" ({names}: from the checkout, as nothing is released)" if names else ""

    def tests_left_out(self, options: Options) -> None:
        """What a dry run does not do."""
        self.say(f"- not run: {' '.join(options.suite)}, and the tests in the sdist", "yellow")

    def built(self, built: Built) -> None:
        """What would be published."""
        for path in built.files:
            self.say(f"  {digest(path)}  {path.name}")

    def not_made(self, plan: Plan) -> None:
        """The end of a dry run."""
        self.say(f"Dry run: no commit, no tag {plan.tag}.", "bold")

    def made(self, plan: Plan, branch: str) -> None:
        """The end of a release."""
        self.say(
            f"{plan.tag} is made. Publish it: git push --atomic origin {branch} {plan.tag}", "bold"
        )
