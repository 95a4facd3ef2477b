"""fleet/docs/testing.md, run as it is written."""

import re
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.testing import check

TEXT = (Path(__file__).parents[2] / "fleet" / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "testing.md", "exec"), names)
    return names


def test_check_finds_what_is_wrong_with_the_basket(capsys: pytest.CaptureFixture[str]) -> None:
    names = run(BLOCKS[0] + BLOCKS[1])
    told = capsys.readouterr().out
    assert "Basket: take_any() differs from process to process: it reads what is not the same" in told
    assert "PYTHONHASHSEED=0" in told and "again: check(Basket, seeds=[" in told
    mended = run(BLOCKS[0].replace("next(iter(self.items))", "min(self.items)"))
    check(mended["Basket"], seeds=20)
    assert issubclass(names["Basket"], fleet.Data)


def test_what_cannot_be_made_up_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    run(
        "import fleet\nfrom fleet.testing import check\n"
        + BLOCKS[2].replace("seeds=5", "seeds=5, hash_seeds=()")
    )
    told = capsys.readouterr().out
    comment = re.search(r"print\(error\) +# (.*), \.\.\.$", BLOCKS[2], re.M)
    assert comment is not None and comment[1] in told


def test_the_strict_command_is_refused_in_the_words_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    run("import fleet\n" + BLOCKS[3])
    told = capsys.readouterr().out.strip().replace("in line 11 of", "in line 10 of")  # after our import
    assert f"prints `{told}`." in TEXT


def test_what_migrate_loses_is_told_in_the_words_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    before = "import fleet\nfrom fleet.testing import CheckFailed, check\n"
    run(before + BLOCKS[4])
    told = capsys.readouterr().out
    (shown,) = re.findall(r"^```\n(Tally: .*?)  \.\.\.\n(.*?)^```", TEXT, re.M | re.S)
    assert told.startswith(shown[0]) and told.endswith(shown[1])
    (mended,) = re.findall(r"^and `(return .*?)` mends it", TEXT, re.M)
    run(before + BLOCKS[4].replace("return {}", mended))
    assert capsys.readouterr().out == ""


def test_the_account_survives_what_is_done_to_it() -> None:
    run(BLOCKS[5])


def test_hypothesis_drives_the_account() -> None:
    names = run(BLOCKS[5] + BLOCKS[6])
    case = names["TestAccount"]
    case().runTest()


def test_every_block_is_run() -> None:
    assert len(BLOCKS) == 7
