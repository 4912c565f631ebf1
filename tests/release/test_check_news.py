"""A change to a package's source has news, or a commit message says why not."""

from __future__ import annotations

import pytest

from releasing.cli import main

SOURCE = "packages/asgi-one/src/asgi_one/__init__.py"


@pytest.fixture
def check(monorepo, capsys):
    """Run `check-news`, and return what it prints to stderr: nothing if all is well."""

    def run(*arguments: str) -> str:
        status = main(["check-news", *arguments], monorepo.root)
        refused = capsys.readouterr().err
        assert status == bool(refused)
        return refused

    return run


def change(monorepo, message: str = "asgi-one: a change") -> str:
    monorepo.replace(SOURCE, "    return", "    # Politely.\n    return")
    return monorepo.commit(message)


def test_nothing_new_needs_no_news(check):
    assert not check()


def test_a_change_without_news_is_refused_with_its_commit(monorepo, check):
    monorepo.git("checkout", "-q", "-b", "change")
    commit = change(monorepo)
    refused = check()
    assert "asgi-one: changed without news, since main:" in refused
    assert f"{commit[:7]} asgi-one: a change" in refused
    assert "asgi-two" not in refused


def test_a_change_with_news_passes(monorepo, check):
    change(monorepo)
    monorepo.news("asgi-one", "doc")
    assert not check()


def test_news_of_another_package_does_not_count(monorepo, check):
    change(monorepo)
    monorepo.news("asgi-two", "doc")
    assert "asgi-one: changed without news" in check()


def test_news_from_before_the_change_do_not_count(monorepo, check):
    monorepo.news("asgi-one", "doc")
    monorepo.git("checkout", "-q", "-b", "change")
    change(monorepo)
    assert "asgi-one: changed without news" in check()


def test_a_fragment_that_the_change_rewrites_counts(monorepo, check):
    monorepo.news("asgi-one", "doc")
    monorepo.git("checkout", "-q", "-b", "change")
    change(monorepo)
    monorepo.news("asgi-one", "doc", "More news.")
    assert not check()


def test_a_commit_may_say_why_there_is_no_news(monorepo, check):
    change(monorepo, "asgi-one: a comment\n\nNobody sees it.\n\nNo-news: a comment")
    assert not check()


def test_an_exemption_needs_a_reason(monorepo, check):
    change(monorepo, "asgi-one: a comment\n\nNobody sees it.\n\nNo-news:")
    assert "asgi-one: changed without news" in check()


def test_an_exemption_is_of_one_commit(monorepo, check):
    change(monorepo, "asgi-one: a comment\n\nNo-news: a comment")
    change(monorepo, "asgi-one: more")
    refused = check()
    assert "asgi-one: more" in refused
    assert "asgi-one: a comment" not in refused


def test_a_dependency_that_changes_needs_news(monorepo, check):
    monorepo.replace("packages/asgi-two/pyproject.toml", ">=1.0,<2", ">=1.0,<3")
    monorepo.commit("asgi-two: takes more")
    assert "asgi-two: changed without news" in check()


def test_tests_and_texts_need_no_news(monorepo, check):
    monorepo.write("tests/one/test_more.py", "")
    monorepo.write("packages/asgi-one/README.md", "# Better\n")
    monorepo.commit("Texts")
    assert not check()


def test_a_change_that_is_not_committed_counts_and_so_does_its_fragment(monorepo, check):
    monorepo.replace(SOURCE, "    return", "    # Politely.\n    return")
    assert "what is not committed" in check()
    monorepo.write("packages/asgi-one/changelog.d/7.doc.md", "News.\n")
    assert not check()


def test_on_the_only_branch_the_change_is_what_came_since_the_release(monorepo, check, capsys):
    change(monorepo)
    assert "asgi-one: changed without news, since asgi-one-v1.0.0:" in check()


def test_before_the_first_release_the_change_is_everything(monorepo, check):
    monorepo.git("tag", "--delete", "asgi-one-v1.0.0")
    assert "asgi-one: changed without news, since the beginning:" in check()
    monorepo.news("asgi-one", "feature")
    assert not check()


def test_a_merge_is_compared_with_what_it_was_merged_into(monorepo, check):
    monorepo.news("asgi-one", "doc")
    monorepo.git("checkout", "-q", "-b", "change")
    change(monorepo)
    monorepo.git("checkout", "-q", "main")
    monorepo.git("merge", "-q", "--no-ff", "-m", "Merge", "change")
    monorepo.git("branch", "--delete", "change")
    assert "asgi-one: changed without news, since what was merged into:" in check()


def test_a_base_that_is_given_is_compared_with(monorepo, check):
    change(monorepo)
    monorepo.news("asgi-one", "doc")
    assert not check("--base", "HEAD~2")
    change(monorepo)
    assert "changed without news, since HEAD~1:" in check("--base", "HEAD~1")


def test_a_base_that_does_not_exist_is_refused(check):
    assert "there is no commit 'nowhere'" in check("--base", "nowhere")


def test_a_release_on_the_branch_is_no_change_without_news(monorepo, check):
    monorepo.news("asgi-one", "doc")
    monorepo.git("checkout", "-q", "-b", "release")
    monorepo.replace("packages/asgi-one/src/asgi_one/__about__.py", "1.0.0", "1.0.1")
    monorepo.git("rm", "-q", "packages/asgi-one/changelog.d/7.doc.md")
    monorepo.commit("asgi-one 1.0.1")
    assert not check()


def test_in_a_clone_without_tags_the_change_is_what_came_since_the_changelog(monorepo, check):
    change(monorepo)
    monorepo.git("tag", "--delete", "asgi-one-v1.0.0")
    text = "<!-- towncrier release notes start -->\n"
    monorepo.replace("packages/asgi-one/CHANGELOG.md", text, f"{text}\n## 1.0.0 (2026-01-01)\n")
    monorepo.commit("asgi-one 1.0.0")
    assert not check()
    change(monorepo)
    assert "since the last change of packages/asgi-one/CHANGELOG.md:" in check()


def test_an_unknown_type_is_refused(monorepo, check):
    monorepo.news("asgi-one", "featur")
    assert "'featur' is no type of news" in check()


def test_all_packages_that_fail_are_told_at_once(monorepo, check):
    monorepo.news("asgi-one", "featur")
    monorepo.news("asgi-two", "bugfx")
    refused = check()
    assert "'featur'" in refused
    assert "'bugfx'" in refused


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("name: str", "whom: str", "removal"),
        ('"greet"]', '"greet", "other"]\n\n\nother = greet', "feature"),
    ],
    ids=["a signature changed", "a name is new"],
)
def test_a_change_of_public_names_needs_news_that_demand_as_much(monorepo, check, old, new, kind):
    monorepo.replace(SOURCE, old, new)
    monorepo.news("asgi-one", "doc")
    assert f"hatch run news asgi-one {kind}" in check()
    monorepo.news("asgi-one", kind)
    assert not check()
