"""Records of run folders that were made up, and files of records."""

import csv
import json

import pytest

from wherewhat_pl.config import to_yaml
from wherewhat_pl.evaluation.records import read_records, write_file
from wherewhat_pl.evaluation.results import append_result
from wherewhat_pl.run.files import append_row
from wherewhat_pl.run.folder import RunDir

FVM = {"metric": "fvm", "images_seen": 64, "seed": 0, "settings": {"train": 10_000}}


@pytest.fixture
def runs(tiny, tmp_path):
    """Two seeds of one experiment, and a folder that is no run."""
    text = to_yaml(tiny("trainer.max_kimg=0.064", "model.loss=infogan", "run.init_from=/somewhere/a/b"))
    folder = tmp_path / "runs" / "shapes3d_quick"
    for seed, fvm in enumerate((0.5, 0.7)):
        run = RunDir(folder / f"seed{seed}")
        run.checkpoints.mkdir(parents=True)
        provenance = "\nprovenance: {processor: a machine, data: {source: rendered}}\n"
        run.config_file.write_text(text.replace("\nseed: 0\n", f"\nseed: {seed}\n") + provenance)
        run.checkpoint_at(64).touch()
        append_result(run.eval_file, FVM | {"value": fvm})
        append_row(run.cost_file, {"images_seen": 64, "cpu_minutes": 2.5 + seed, "wall_minutes": 3})
    (folder / "selection").mkdir()
    return folder


def test_a_record_holds_settings_results_of_the_last_checkpoint_and_cost(runs):
    append_result(runs / "seed1" / "eval.jsonl", FVM | {"value": 0.1, "images_seen": 32})
    first, second = read_records(f"{runs}/*", pytest.fail)
    assert (first.name, first.seed, second.seed) == ("shapes3d_quick/seed0", 0, 1)
    assert first.settings == second.settings
    assert first.settings["model.loss"] == "infogan"
    assert first.settings["data.source"] == "rendered"
    assert first.settings["run.init_from"] == "a/b"
    assert {"seed", "run.name", "trainer.threads"}.isdisjoint(first.settings)
    assert (second.images_seen, second.max_images, second.finished) == (64, 64, True)
    assert [row["value"] for row in second.results] == [0.7]
    assert (second.cpu_minutes, second.wall_minutes, second.processor) == (3.5, 3, "a machine")


def test_a_damaged_run_and_a_torn_line_are_said_and_the_others_are_read(runs):
    (runs / "seed0" / "config.yaml").write_text("model: {loss: [")
    with (runs / "seed1" / "eval.jsonl").open("a") as file:
        file.write('{"metric": "mi')
    said = []
    (record,) = read_records(str(runs), said.append)
    assert record.seed == 1
    assert len(said) == 2
    assert said[0].startswith(f"{runs}/seed0 is left out: ")
    assert "config.yaml: is no valid YAML" in said[0]
    assert said[1] == f"{runs}/seed1: eval.jsonl: 1 of 2 lines are no rows and are passed over"


def test_a_file_of_records_gives_them_back_and_what_is_none_is_said(record, tmp_path):
    records = [record(seed, fvm=0.5, tpl_small={"value": 0.1, "details": {"mean": [0.1, None]}}) for seed in (0, 1)]
    write_file(tmp_path / "kept" / "grid.jsonl", records)
    assert read_records(f"{tmp_path}/kept/grid.jsonl", pytest.fail) == records
    row = json.loads((tmp_path / "kept" / "grid.jsonl").read_text().splitlines()[0])
    with (tmp_path / "kept" / "grid.jsonl").open("a") as file:
        file.write(json.dumps(row | {"results": [{"metric": "tpl_small"}]}) + "\n")
        file.write(json.dumps(row | {"settings": {"model.loss": "gan"}}) + '\n{"na')
    said = []
    assert read_records(f"{tmp_path}/kept/*", said.append) == records
    assert said == [
        "grid.jsonl: 1 of 5 lines are no rows and are passed over",
        *["grid.jsonl: a line is no record of a run and is passed over"] * 2,
    ]


def test_the_command_writes_what_it_is_asked_for(runs, command, tmp_path):
    status, out, said = command("table", f"runs={runs}/*", "metrics=fvm,irs", f"save={tmp_path}/grid.jsonl")
    assert (status, said) == (0, f"saved    {tmp_path}/grid.jsonl\n")
    head, line, *_ = out.splitlines()
    assert head.split() == ["seeds", "fvm", "irs", "kimg", "CPU", "min"]
    assert " ".join(line.split()) == "shapes3d_quick 2 0.600 ± 0.141 - 0 3.0 ± 0.7"
    status, out, _ = command("table", f"runs={tmp_path}/grid.jsonl", "format=csv", f"out={tmp_path}/grid.csv")
    assert (status, out) == (0, f"table    {tmp_path}/grid.csv\n")
    (row,) = csv.DictReader((tmp_path / "grid.csv").read_text().splitlines())
    assert (row["seeds"], float(row["fvm mean"]), row["fvm n"]) == ("2", pytest.approx(0.6), "2")


def test_no_run_and_a_wrong_file_are_one_line(command, tmp_path):
    status, _, said = command("table", f"runs={tmp_path}/nowhere/*")
    assert (status, said) == (2, f"error: runs={tmp_path}/nowhere/*: there is no run\n")
    assert command("table", "save=x.csv")[2] == "error: save=x.csv: must end in .jsonl\n"
