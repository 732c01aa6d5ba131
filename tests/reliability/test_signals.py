"""Whenever a training is stopped, it ends as documented, and what the same command makes of it is the whole run."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.reliability.loop import Left, Training, try_moments
from wherewhat_pl.evaluation.results import read_results
from wherewhat_pl.run.checkpoints import load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A function: code of a module of one's own -> the setting that has a command import it."""

    def write(code):
        (tmp_path / "of_my_own.py").write_text(textwrap.dedent(code))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return "plugins=[of_my_own]"

    return write


def until(condition, timeout_s=300.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_stopped_at_three_moments_a_run_is_what_it_would_have_been(tmp_path):
    """More of them by hand: python -m tests.reliability.loop 20."""
    result = try_moments(tmp_path, count=3, seed=1, per_run=3)
    assert result == {"tried": 3, "survived": 3, "lost": 0}


def test_a_second_ctrl_c_ends_a_long_step_at_once(tmp_path, plugin):
    slow = plugin(
        """
        import time
        from wherewhat_pl.system import DisentanglingGAN

        def step(*_):
            print("stepping", flush=True)
            time.sleep(600)

        DisentanglingGAN.step = step
        """
    )
    training = Training(tmp_path, "long", settings=(*Training.settings, slow))
    process = training.start()
    while process.stdout.readline() != "stepping\n":
        pass
    process.send_signal(signal.SIGINT)
    while "a second Ctrl-C stops at once" not in process.stderr.readline():
        pass
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == -signal.SIGINT, "which shells call 130"
    assert time.monotonic() - started < 5
    assert "Traceback" not in process.stderr.read()


def test_a_signal_during_an_evaluation_ends_it_and_it_is_made_up_for(tmp_path):
    measured = ("eval.interval_kimg=0.02", "eval.metrics=[tpl_small]", "logger.interval_kimg=0.02")
    training = Training(tmp_path, "measured", settings=(*Training.settings, *measured, "trainer.max_kimg=0.024"))
    process = training.start()
    until(lambda: training.run.metrics_file.exists() and training.run.metrics_file.read_text())  # now it measures
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    said, complaints = process.communicate(timeout=60)
    assert process.returncode == 143, complaints
    assert "stopped and saved at 20 images" in said
    assert load_checkpoint(training.run.last_checkpoint)["images_seen"] == 20
    assert not training.run.eval_file.exists()
    training.finish()
    assert not training.mistakes
    assert [row["images_seen"] for row in read_results(training.run.eval_file)] == [20]


def test_a_signal_to_one_of_two_processes_stops_both_and_loses_nothing(tmp_path):
    settings = (*Training.settings, "trainer.devices=2")
    alone, stopped = (Training(tmp_path, name, settings=settings) for name in ("alone", "stopped"))
    alone.finish()
    said = [
        stopped.stop(signal.SIGINT, 0.5, since="folder", rank=1),  # it still imports
        stopped.stop(signal.SIGTERM, 1.0, since="folder", rank=0),
    ]
    stopped.finish()
    assert not alone.mistakes + stopped.mistakes
    assert not Left.by(stopped.run).differences(Left.by(alone.run)), said


def test_signals_while_python_ends_change_nothing(tmp_path):
    code = """
        import atexit, os, signal
        from wherewhat_pl import signals
        signals.install()
        signals.finish(3)
        atexit.register(lambda: [os.kill(os.getpid(), number) for number in reversed(signals.SIGNALS)])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (3, "")


def test_a_process_that_waits_for_one_that_has_stopped_ends():
    code = """
        from datetime import timedelta
        import torch.distributed as dist
        from wherewhat_pl import signals
        signals.install()
        with signals.waiting():
            with signals.meeting():
                pass
            with signals.meeting(patience_s=0.5):
                print("waits", flush=True)
                dist.TCPStore("127.0.0.1", 1, 2, is_master=False, timeout=timedelta(minutes=5))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGUSR1)
        assert process.wait(60) == 128 + signal.SIGUSR1
        assert "error: stopped by SIGUSR1" in process.stderr.read()


def test_a_signal_to_one_that_meets_the_others_is_only_noted():
    code = """
        import os, signal
        from wherewhat_pl import signals
        signals.install()
        with signals.waiting():
            with signals.meeting():
                os.kill(os.getpid(), signal.SIGUSR1)
            assert signals.received() == signal.SIGUSR1
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
