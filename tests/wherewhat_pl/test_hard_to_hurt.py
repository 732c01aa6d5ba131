"""What goes wrong on real machines: diverging losses, full disks, several processes."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from wherewhat_pl.cli import main
from wherewhat_pl.distributed import GradientAverage, are_equal
from wherewhat_pl.run.checkpoints import load_checkpoint
from wherewhat_pl.run.folder import RunDir
from wherewhat_pl.train import train


@pytest.mark.slow
def test_a_diverging_run_stops_says_which_term_and_keeps_the_last_good_checkpoint(
    tiny, tiny_settings, tmp_path, capsys
):
    good = tiny("trainer.max_kimg=0.016")
    assert train(good, []) == 0
    kept = load_checkpoint(RunDir.of(good).last_checkpoint)
    kept["state_dict"]["discriminator.output.bias"][:] = float("nan")  # what a bad step would leave
    torch.save(kept, RunDir.of(good).checkpoint_at(16))
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "train",
                "exp=shapes3d_quick",
                *tiny_settings,
                f"run.root={tmp_path / 'runs'}",
                "run.name=test",
                "trainer.max_kimg=0.048",
            ]
        )
    assert stop.value.code == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(said) == 1
    assert "generator_adversarial is nan at 24 images; the last good checkpoint is kept" in said[0]
    assert RunDir.of(good).kept_checkpoints()[0] == RunDir.of(good).checkpoint_at(16)


def test_a_full_disk_is_said_and_training_goes_on(tiny, monkeypatch):
    save, calls = torch.save, []

    def save_on_a_full_disk_twice(checkpoint, file):
        calls.append(file)
        if len(calls) <= 2:
            file.write(b"half a file")
            raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")
        save(checkpoint, file)

    monkeypatch.setattr("wherewhat_pl.callbacks.checkpoint.torch.save", save_on_a_full_disk_twice)
    config = tiny("trainer.max_kimg=0.032")
    with pytest.warns(UserWarning, match="checkpoint: not saved at 8 images"):
        assert train(config, []) == 0
    run = RunDir.of(config)
    assert [path.name for path in run.kept_checkpoints()] == ["images-000000032.ckpt", "images-000000024.ckpt"]
    assert not [path for path in run.checkpoints.iterdir() if "partial" in path.name]


def _average(rank, results, port):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    parameters = [
        torch.nn.Parameter(torch.zeros(3)),
        torch.nn.Parameter(torch.zeros(2, 2)),
        torch.nn.Parameter(torch.zeros(1)),
    ]
    parameters[0].grad = torch.full((3,), float(rank))
    parameters[1].grad = torch.full((2, 2), 10.0 * rank)
    average = GradientAverage(parameters)
    average()
    buffer = average._flat
    for parameter in parameters[:2]:
        parameter.grad.mul_(1)
    average()
    assert average._flat is buffer, "the buffer is kept"
    assert parameters[2].grad is None
    assert are_equal(parameters)
    with torch.no_grad():
        parameters[2] += rank
    assert not are_equal(parameters)
    results[rank] = [parameter.grad.tolist() for parameter in parameters[:2]]
    dist.destroy_process_group()


@pytest.mark.slow
def test_gradients_are_averaged_over_processes():
    results = mp.Manager().dict()
    mp.spawn(_average, (results, 29641), nprocs=2)
    assert results[0] == results[1] == [[0.5] * 3, [[5.0] * 2] * 2]


@pytest.mark.slow
def test_two_processes_train_and_continue(tiny_settings, tmp_path):
    import subprocess
    import sys

    def run(kimg):
        command = [
            sys.executable,
            "-m",
            "wherewhat_pl",
            "train",
            "exp=shapes3d_quick",
            *tiny_settings,
            "trainer.devices=2",
            f"run.root={tmp_path}",
            "run.name=two",
            f"trainer.max_kimg={kimg}",
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    first = run(0.024)
    assert first.returncode == 0, first.stderr
    second = run(0.048)
    assert second.returncode == 0, second.stderr
    assert load_checkpoint(tmp_path / "shapes3d_quick" / "two" / "checkpoints" / "last.ckpt")["images_seen"] == 48
