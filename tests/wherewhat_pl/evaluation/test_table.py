"""Tables of runs that were made up, their numbers held against numpy's and scipy's."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_ind

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.evaluation.settings import TableSettings
from wherewhat_pl.evaluation.table import table_of

PS, INFOGAN, SOFTMAX = (0.80, 0.84, 0.79), (0.61, 0.66, 0.60), (0.78, 0.70)


@pytest.fixture
def grid(record):
    """Three groups, the last of two seeds; the first lacks a metric whose direction is unknown."""
    records = []
    for loss, mask, values in (
        ("ps", "softmax", SOFTMAX),
        ("infogan", "rectangles", INFOGAN),
        ("ps", "rectangles", PS),
    ):
        for seed, fvm in enumerate(values):
            own = {} if loss == "infogan" else {"unheard": fvm / 10}
            settings = {"model.loss": loss, "model.mask": mask}
            records.append(record(seed, settings, cpu_minutes=5 + seed, fvm=fvm, separability=2 - fvm, **own))
    return records


def shown(records, complain=lambda sentence: pytest.fail(sentence), **settings):
    return table_of(records, TableSettings(**settings), complain)


def column(table, name):
    (found,) = [column for column in table.columns if column.name == name]
    return found


def test_groups_are_runs_that_differ_in_their_seed_alone_and_are_named_by_what_differs(grid):
    groups = shown(grid).groups
    assert [group.name for group in groups] == [
        "loss=infogan, mask=rectangles",
        "loss=ps, mask=rectangles",
        "loss=ps, mask=softmax",
    ]
    assert [[record.seed for record in group.records] for group in groups] == [[0, 1, 2], [0, 1, 2], [0, 1]]
    assert shown(grid, rows=["mask", "model.loss"]).groups[-1].name == "mask=softmax, loss=ps"
    assert shown(grid[:2]).groups[0].name == "shapes3d_quick"


def test_settings_can_be_repeats_as_seeds_are(grid):
    table = shown(grid, rows=["mask"], over=["loss"], metrics=["fvm"])
    assert [group.name for group in table.groups] == ["mask=rectangles", "mask=softmax"]
    assert [cell.values for cell in column(table, "fvm").cells] == [
        tuple(value for pair in zip(INFOGAN, PS, strict=True) for value in pair),  # by seed
        SOFTMAX,
    ]
    assert "over seeds and loss" in table.caption
    assert table.counted == "runs"
    (everything,) = shown(grid, over=["model.loss", "mask"]).groups
    assert (everything.name, len(everything.records)) == ("shapes3d_quick", 8)


def test_means_deviations_and_p_values_are_those_of_numpy_and_scipy(grid):
    table = shown(grid)
    for name, values in (("fvm", np.array), ("separability", lambda v: 2 - np.array(v))):  # high and low are better
        cells = column(table, name).cells
        for cell, of_group in zip(cells, map(values, (INFOGAN, PS, SOFTMAX)), strict=True):
            assert (cell.mean, cell.std) == pytest.approx((of_group.mean(), of_group.std(ddof=1)))
        p = [ttest_ind(PS, other, equal_var=False).pvalue for other in (INFOGAN, SOFTMAX)]
        assert p[0] < p[1]
        assert [cell.p for cell in cells] == pytest.approx([2 * p[0], 1, p[1]])  # Holm: the smaller of two, doubled
        assert [cell.bold for cell in cells] == [False, True, True]
    assert [cell.mean for cell in column(table, "CPU min").cells] == [6, 6, 5.5]
    assert "CPU minutes on: a machine." in table.caption
    for word in ("Welch's t-test", "Holm's correction", "at 5 %"):
        assert word in table.caption


def test_what_is_missing_is_no_number_and_of_an_unknown_direction_nothing_is_best(grid):
    table = shown(grid)
    cells = column(table, "unheard").cells
    assert cells[0] is None
    assert [cell.bold for cell in cells[1:]] == [False, False]
    assert "Not tested: unheard." in table.caption


def test_a_value_that_is_undefined_is_left_out_and_said(record):
    said = []
    table = shown([record(seed, fvm=value, sap=None) for seed, value in enumerate((0.5, None, 0.7))], said.append)
    assert column(table, "fvm").cells[0].values == (0.5, 0.7)
    assert column(table, "sap").cells == [None]
    assert said == [
        "fvm is undefined in 1 run, which its numbers leave out",
        "sap is undefined in 3 runs, which its numbers leave out",
    ]


def test_results_that_were_measured_in_other_ways_stand_in_columns_of_their_own(record):
    few = {"settings": {"train": 200}, "value": 0.1}
    records = [record(0, fvm=0.5), record(1, fvm=few), record(2, fvm=0.7)]
    columns = shown(records, metrics=["fvm"]).columns[:-1]
    assert {c.name: c.cells[0].values for c in columns} == {"fvm [train=10000]": (0.5, 0.7), "fvm [train=200]": (0.1,)}
    both = replace(records[1], results=[*records[1].results, *record(1, fvm=0.6).results])
    (fvm, _) = shown([records[0], both, records[2]]).columns  # one way is enough
    assert (fvm.name, fvm.cells[0].values) == ("fvm", (0.5, 0.6, 0.7))


def test_parts_of_a_metric_are_columns_when_asked_for(record):
    records = [record(seed, mig={"value": 0.1, "values": {"floor_hue": 0.2 * seed}}) for seed in (1, 2)]
    table = shown(records, metrics=["mig.floor_hue", "irs"])
    assert column(table, "mig.floor_hue").cells[0].values == pytest.approx((0.2, 0.4))
    assert column(table, "irs").cells == [None]


def test_tpl_is_compared_among_equal_numbers_of_active_dimensions_which_follow_from_the_threshold(record):
    used, records = {"threshold": 0.3}, []
    for seed, loss, mean in (
        (0, "ps", [0.4, 0.2]),
        (1, "ps", [0.5, 0.2]),
        (0, "gan", [0.6, 0.5]),
        (1, "gan", [0.6, 0.4]),
    ):
        long = [length for length in mean if length >= 0.3]
        row = {"used": used, "value": sum(long), "values": {"num_active": len(long)}, "details": {"mean": mean}}
        records.append(record(seed, {"model.loss": loss}, tpl_small=row))
    table = shown(records)
    assert [cell.values for cell in column(table, "tpl_small.num_active").cells] == [(2, 2), (1, 1)]
    assert not column(table, "tpl_small").tested
    table = shown(records, threshold=0.1)
    assert column(table, "tpl_small").cells[1].values == pytest.approx((0.6, 0.7))
    assert column(table, "tpl_small").tested


def test_unfinished_and_repeated_runs_and_groups_of_too_few_seeds_are_left_out_and_said(grid):
    half = replace(grid[-1], name="shapes3d_quick/half", seed=7, images_seen=32)
    again = replace(grid[-1], name="shapes3d_quick/again")
    said = []
    table = shown([*grid, half, again], said.append, seeds=3)
    assert [len(group.records) for group in table.groups] == [3, 3]
    assert said == [
        "unfinished, left out (unfinished=true shows them): shapes3d_quick/half (32 of 64 images)",
        "shapes3d_quick/again is left out: shapes3d_quick/seed2 has the same settings and seed",
        "fewer than 3 seeds, left out: loss=ps, mask=softmax",
    ]
    assert [len(group.records) for group in shown([*grid, half], unfinished=True).groups] == [3, 4, 2]


def test_several_experiments_are_named_and_what_else_tells_them_apart_is_not(record):
    settings = [{}, {"model.ps.weight": 0.5}, {"experiment": "mine", "model.r1.gamma": 7.0, "data.resolution": 32}]
    groups = shown([record(0, own, fvm=0.5) for own in settings]).groups
    assert [group.name for group in groups] == [
        "mine",
        "shapes3d_quick, ps.weight=0.1",
        "shapes3d_quick, ps.weight=0.5",
    ]


def test_a_setting_that_is_younger_than_a_record_has_its_default_there(record):
    old, new = record(0, fvm=0.5), record(1, fvm=0.6)
    del old.settings["model.ps.pairs"]
    assert len(shown([old, new]).groups) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics": ["fvn"]}, "metrics=fvn: no run was measured by that; did you mean 'fvm'?"),
        ({"rows": ["model.los"]}, "rows=model.los: no such setting; did you mean 'model.loss'?"),
        ({"rows": ["model.loss"]}, "rows=model.loss: does not tell all groups apart; they differ in mask, too"),
        ({"over": ["los"]}, "over=los: no such setting; did you mean 'loss'?"),
        ({"rows": ["loss"], "over": ["loss"]}, "rows=loss: no such setting"),
        ({"seeds": 4}, "no run is left to show"),
    ],
)
def test_what_there_is_not_is_refused(grid, settings, message):
    with pytest.raises(ConfigError) as refused:
        shown(grid, lambda sentence: None, **settings)
    assert message in str(refused.value)
