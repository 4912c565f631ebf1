"""The READMEs are true: their examples run and print what they say, their links lead somewhere.

A ```python block runs alone, in a process of its own with warnings as errors, unless the
comment `<!-- continues -->` stands right before it: then the blocks before it, back to the
last one that stands alone, run first. A ```text block that follows is the block's output.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READMES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("packages/*/README.md")),
    *sorted(ROOT.glob("packages/*/examples/*/README.md")),
]

FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)|^\[[^\]]+\]:\s*(?P<reference>\S+)", re.MULTILINE)
CONTINUES = "<!-- continues -->"
# Printed before a block that continues others, to tell its output from theirs.
OUTPUT_STARTS = "=== output starts ==="


@dataclass(frozen=True)
class Example:
    line: int
    code: str
    continues: bool
    output: str | None


def examples(markdown: str) -> list[Example]:
    fences = list(FENCE.finditer(markdown))
    found = []
    for fence, following in zip_longest(fences, fences[1:]):
        if fence["language"] != "python":
            continue
        printed = following if following and following["language"] == "text" else None
        found.append(
            Example(
                line=markdown.count("\n", 0, fence.start()) + 1,
                code=fence["text"],
                continues=markdown[: fence.start()].rstrip().endswith(CONTINUES),
                output=printed["text"] if printed else None,
            )
        )
    return found


def programs(markdown: str) -> list[Example]:
    """The examples with the code of those that each one continues put before it."""
    result: list[Example] = []
    before: list[Example] = []
    for example in examples(markdown):
        before = [*before, example] if example.continues else [example]
        code = f"print({OUTPUT_STARTS!r})\n".join(part.code for part in before)
        result.append(replace(example, code=code))
    return result


def relative_links(markdown: str) -> list[str]:
    prose = FENCE.sub("", markdown)
    targets = [match["target"] or match["reference"] for match in LINK.finditer(prose)]
    return [t.partition("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)]


def existing() -> list[Path]:
    return [readme for readme in READMES if readme.is_file()]


def all_programs() -> list[object]:
    return [
        pytest.param(program, id=f"{readme.relative_to(ROOT)}:{program.line}")
        for readme in existing()
        for program in programs(readme.read_text())
    ]


# Starts an interpreter for each example; the examples themselves take what they take.
@pytest.mark.parametrize("program", all_programs())
def test_example_runs_and_prints_what_the_readme_says(program, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"],
        input=program.code,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    if program.output is not None:
        assert done.stdout.rpartition(f"{OUTPUT_STARTS}\n")[2] == program.output


@pytest.mark.parametrize("readme", existing(), ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_point_to_existing_files(readme):
    broken = [t for t in relative_links(readme.read_text()) if not (readme.parent / t).exists()]
    assert not broken


SAMPLE = """\
# Sample

See [the licence](LICENSE), [below](#below), [the docs](docs/index.md#top) and
[elsewhere](https://example.org/x.md).

```python
x = 1
print(x)
```

It prints:

```text
1
```

```toml
x = "[not a link](nowhere)"
```

<!-- continues -->
```python
print(x + 1)
```
```text
2
```

```python
y = 3
```

[reference]: other.md
"""


def test_extractor_finds_python_blocks_with_their_lines():
    assert [(e.line, e.code) for e in examples(SAMPLE)] == [
        (6, "x = 1\nprint(x)\n"),
        (22, "print(x + 1)\n"),
        (29, "y = 3\n"),
    ]


def test_extractor_takes_the_text_block_that_follows_as_output():
    assert [e.output for e in examples(SAMPLE)] == ["1\n", "2\n", None]


def test_text_after_another_block_is_nobodys_output():
    assert [e.output for e in examples("```python\n```\n```sh\n```\n```text\nx\n```\n")] == [None]


def test_a_block_that_continues_runs_after_those_before_it():
    first, second, third = programs(SAMPLE)
    assert first.code == "x = 1\nprint(x)\n"
    assert second.code == f"x = 1\nprint(x)\nprint({OUTPUT_STARTS!r})\nprint(x + 1)\n"
    assert third.code == "y = 3\n"


def test_extractor_finds_relative_links_outside_code():
    assert relative_links(SAMPLE) == ["LICENSE", "docs/index.md", "other.md"]
