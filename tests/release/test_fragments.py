"""News fragments: their names and types, and `hatch run news`."""

from __future__ import annotations

import tomllib

import pytest

from releasing import fragments
from releasing.cli import main
from releasing.errors import RefusalError
from releasing.versions import Level


def test_every_type_with_a_heading_has_a_demand_and_the_other_way_round(root):
    config = tomllib.loads((root / ".config" / "towncrier.toml").read_text())
    types = [entry["directory"] for entry in config["tool"]["towncrier"]["type"]]
    assert types == list(fragments.DEMANDS)


@pytest.mark.parametrize(
    "name", ["12.feature.md", "12.feature.3.md", "+a-word.bugfix.md", "D4.doc.md"]
)
def test_a_name_says_issue_and_type(monorepo, name):
    monorepo.write(f"packages/asgi-one/changelog.d/{name}", "News.\n")
    (found,) = fragments.read(monorepo.workspace.package("asgi-one"))
    assert found.path.name == name
    assert found.type == name.split(".")[1]


@pytest.mark.parametrize(
    "name", ["feature.md", "12.feature", "12.feature.rst", "12.md", "x.feature.md"]
)
def test_another_name_is_refused(monorepo, name):
    monorepo.write(f"packages/asgi-one/changelog.d/{name}", "News.\n")
    with pytest.raises(RefusalError, match="is not named <issue>"):
        fragments.read(monorepo.workspace.package("asgi-one"))


def test_an_unknown_type_is_refused_with_those_that_are_known(monorepo):
    monorepo.write("packages/asgi-one/changelog.d/12.featur.md", "News.\n")
    with pytest.raises(RefusalError, match="'featur' is no type of news: give one of removal, "):
        fragments.read(monorepo.workspace.package("asgi-one"))


def test_a_fragment_that_says_nothing_is_refused(monorepo):
    monorepo.write("packages/asgi-one/changelog.d/12.doc.md", " \n")
    with pytest.raises(RefusalError, match="is empty"):
        fragments.read(monorepo.workspace.package("asgi-one"))


def test_a_removal_demands_a_major_version(monorepo):
    monorepo.write("packages/asgi-one/changelog.d/12.removal.md", "Gone.\n")
    (found,) = fragments.read(monorepo.workspace.package("asgi-one"))
    assert found.demand is Level.MAJOR


def test_the_command_writes_a_fragment_of_an_issue(monorepo, capsys):
    text = 'Two "quoted" *words*; é.'
    assert main(["news", "asgi-one", "feature", text, "--issue", "12"], monorepo.root) == 0
    path = "packages/asgi-one/changelog.d/12.feature.md"
    assert (monorepo.root / path).read_text(encoding="utf-8") == f"{text}\n"
    assert capsys.readouterr().out.strip() == path


def test_the_second_of_an_issue_and_type_has_a_number(monorepo):
    for text in ("One.", "Two."):
        main(["news", "asgi-one", "doc", text, "--issue", "12"], monorepo.root)
    folder = monorepo.root / "packages/asgi-one/changelog.d"
    assert (folder / "12.doc.md").read_text() == "One.\n"
    assert (folder / "12.doc.1.md").read_text() == "Two.\n"


def test_one_without_an_issue_is_named_after_its_words(monorepo):
    path = fragments.write(monorepo.workspace.package("asgi-one"), "doc", "It's `a_b` that counts!")
    assert path.name == "+it-s-a-b-that.doc.md"
    assert len(fragments.read(monorepo.workspace.package("asgi-one"))) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("asgi-three", "doc", "News."), "no package 'asgi-three': give one of asgi-one, asgi-two"),
        (("asgi-one", "docs", "News."), "'docs' is no type of news"),
        (("asgi-one", "doc", " "), "the text is empty"),
        (("asgi-one", "doc", "News.", "--issue", "#12"), "'#12' is no issue"),
    ],
)
def test_the_command_refuses_what_makes_no_fragment(monorepo, capsys, arguments, reason):
    before = monorepo.state()
    assert main(["news", *arguments], monorepo.root) == 1
    assert reason in capsys.readouterr().err
    assert monorepo.state() == before
