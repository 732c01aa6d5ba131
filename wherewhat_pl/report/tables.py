"""A table of groups of runs as text, Markdown, CSV or LaTeX."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable

from wherewhat_pl.evaluation.table import Cell, Column, Table
from wherewhat_pl.run.files import csv_text

MISSING = "-"
LATEX = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "±": r"$\pm$"}
LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}
LATEX |= {character: f"{{{character}}}" for character in "[]"}  # after \\ brackets would be its argument


def as_text(table: Table) -> str:
    """Aligned for a terminal; a star stands for bold."""
    lines = _cells(table, lambda text: text, lambda text: f"{text}*")
    widths = [max(len(line[k].rstrip("*")) for line in lines) for k in range(len(lines[0]))]
    padded = []
    for name, *others in lines:
        cells = [  # a star hangs over, so that numbers stand below one another
            f"{cell.removesuffix('*'):>{width}}{'*' if cell.endswith('*') else ' '}"
            for cell, width in zip(others, widths[1:], strict=True)
        ]
        padded.append(" ".join([f"{name:<{widths[0]}}", *cells]).rstrip())
    return "\n".join([*padded, "", *textwrap.wrap(table.caption.replace("Bold:", "*:"), 120)]) + "\n"


def as_markdown(table: Table) -> str:
    """A table as GitHub reads it, and the caption below."""
    head, *lines = _cells(table, in_markdown, lambda text: f"**{text}**")
    rows = [head, ["---", *["---:"] * (len(head) - 1)], *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{in_markdown(table.caption)}\n"


def as_csv(table: Table) -> str:
    """A row per group; of each column mean, standard deviation, number of seeds and, where tested, the p-value."""
    tested = [(column, ("mean", "std", "n", "p")[: 3 + column.tested]) for column in table.columns]
    head = ["group", "seeds", *(f"{column.name} {part}" for column, parts in tested for part in parts)]
    rows: list[list[object]] = []
    for place, group in enumerate(table.groups):
        row: list[object] = [group.name, len(group.records)]
        for column, parts in tested:
            cell = column.cells[place]
            numbers = (cell.mean, cell.std, len(cell.values), cell.p) if cell else (None, None, 0, None)
            row += numbers[: len(parts)]
        rows.append(row)
    return csv_text(head, rows)


def as_latex(table: Table) -> str:
    """A ``table`` environment; its rules are those of the package booktabs."""
    head, *lines = _cells(table, _in_latex, lambda text: rf"\textbf{{{text}}}")
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *(" & ".join(line) + r" \\" for line in lines),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{_in_latex(table.caption)}}}",
            r"\end{table}",
            "",
        ]
    )


FORMATS = {"text": as_text, "markdown": as_markdown, "csv": as_csv, "latex": as_latex}


def _cells(table: Table, escape: Callable[[str], str], bold: Callable[[str], str]) -> list[list[str]]:
    """The table's texts, its head first."""
    rows = [["", table.counted, *(escape(column.name) for column in table.columns)]]
    for place, group in enumerate(table.groups):
        seeds = len(group.records)
        row = [escape(group.name), str(seeds)]
        for column in table.columns:
            cell = column.cells[place]
            text = escape(_number(cell, _digits(column), seeds)) if cell else MISSING
            row.append(bold(text) if cell and cell.bold else text)
        rows.append(row)
    return rows


def _number(cell: Cell, digits: int, seeds: int) -> str:
    """Mean and deviation, which is not said where there is none; how many seeds, where the group has more."""
    spread = f" ± {cell.std:.{digits}f}" if cell.std else ""
    return f"{cell.mean:.{digits}f}{spread}" + (f" ({len(cell.values)})" if len(cell.values) != seeds else "")


def _digits(column: Column) -> int:
    """After the point: three of what is below 10, one less for each power of ten."""
    if column.digits is not None:
        return column.digits
    largest = max(abs(value) for cell in column.cells if cell for value in cell.values)
    return max(0, 4 - len(str(int(largest))))


def in_markdown(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text)


def _in_latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
