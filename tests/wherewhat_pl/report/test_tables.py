from pathlib import Path

import pytest

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.groups import Group
from wherewhat_pl.evaluation.records import write_file
from wherewhat_pl.evaluation.table import Cell, Column, Table
from wherewhat_pl.report.blocks import with_tables
from wherewhat_pl.report.tables import as_latex, as_markdown, as_text

DOCS = Path(__file__).parents[3] / "docs"

TABLE = Table(
    [Group("a_b=x|y", [None, None]), Group("c", [None])],
    [
        Column("fd_vgg [train=9]", [Cell((1.0, 2.0), 1.0), Cell((312.5,))]),
        Column("mig", [Cell((0.25,)), None]),
    ],
    "5 % of n_1 & more.",
)


def test_markdown_escapes_what_it_would_read():
    assert as_markdown(TABLE).splitlines() == [
        r"|  | seeds | fd\_vgg \[train=9\] | mig |",
        "| --- | ---: | ---: | ---: |",
        r"| a\_b=x\|y | 2 | **1.5 ± 0.7** | 0.250 (1) |",
        "| c | 1 | 312.5 | - |",
        "",
        r"5 % of n\_1 & more.",
    ]


def test_latex_escapes_what_it_would_read():
    text = as_latex(TABLE)
    assert r" & seeds & fd\_vgg {[}train=9{]} & mig \\" in text
    assert r"a\_b=x|y & 2 & \textbf{1.5 $\pm$ 0.7} & 0.250 (1) \\" in text
    assert r"\caption{5 \% of n\_1 \& more.}" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


def test_text_stands_in_columns_with_stars_beside_them():
    head, first, second, *_ = as_text(TABLE).splitlines()
    assert first.index("*") == len(second.partition("312.5")[0]) + len("312.5")
    assert head.rstrip().endswith("mig")


PAGE = """# Results

<!-- table grid metrics=fvm -->
old | numbers
<!-- end -->
words
<!-- csv pairs -->
<!-- end -->
"""


@pytest.fixture
def kept(record, tmp_path):
    records = [record(seed, fvm=fvm, sap=0.1) for seed, fvm in enumerate((0.5, 0.7))]
    write_file(tmp_path / "results" / "grid.jsonl", records)
    (tmp_path / "results" / "none.csv").touch()
    (tmp_path / "results" / "pairs.csv").write_text("score,Spearman\nd_ci,-0.5\n")
    return tmp_path / "results"


def test_tables_in_a_page_are_made_of_the_kept_results_and_the_rest_stays(kept, tmp_path, command):
    (tmp_path / "results.md").write_text(PAGE)
    assert command("results", f"page={tmp_path}/results.md")[:2] == (0, f"{tmp_path}/results.md: made anew\n")
    page = (tmp_path / "results.md").read_text()
    assert page.splitlines()[:8] == [
        "# Results", "", "<!-- table grid metrics=fvm -->", "",
        "|  | seeds | fvm | kimg |", "| --- | ---: | ---: | ---: |",
        "| shapes3d\\_quick | 2 | 0.600 ± 0.141 | 0 |", "",
    ]  # fmt: skip
    assert page.endswith(
        "\n\n<!-- end -->\nwords\n<!-- csv pairs -->\n\n"
        "| score | Spearman |\n| --- | --- |\n| d\\_ci | -0.5 |\n\n<!-- end -->\n"
    )
    assert "is as its data say" in command("results", f"page={tmp_path}/results.md")[1]
    assert (tmp_path / "results.md").read_text() == page


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!-- table grid -->\n", "has no <!-- end -->"),
        ("<!-- table grid -->\n<!-- table grid -->\n<!-- end -->\n", "has no <!-- end -->"),
        ("<!-- table gird -->\n<!-- end -->\n", "there is no "),
        ("<!-- table metrics=fvm -->\n<!-- end -->\n", "says no name"),
        ("<!-- table grid rows='x -->\n<!-- end -->\n", "rows='x -->: No closing quotation"),
        ("<!-- csv none -->\n<!-- end -->\n", "none.csv is empty"),
        ("<!-- table grid metric=fvm -->\n<!-- end -->\n", "metric: no such setting; did you mean 'metrics'?"),
    ],
)
def test_a_marker_that_cannot_be_followed_is_named(kept, page, message):
    with pytest.raises(ConfigError) as refused:
        with_tables(page, kept, pytest.fail)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_results_in_the_docs_are_what_their_data_say():
    page = (DOCS / "results.md").read_text()
    assert with_tables(page, DOCS / "results", pytest.fail) == page
