"""Two processes that want one run: one trains; what both measure is whole."""

import json
import socket
import subprocess
import sys
import time

import pytest

from tests.reliability.loop import Training

pytestmark = pytest.mark.slow


def test_the_second_start_is_refused_and_takes_over_when_the_first_was_killed(tmp_path):
    endless = Training(tmp_path, "one", settings=(*Training.settings, "trainer.max_kimg=1000"))
    first = endless.start()
    while first.poll() is None and not endless.run.kept_checkpoints():
        time.sleep(0.05)
    second = endless.start()
    _, said = second.communicate(timeout=300)
    assert first.poll() is None, "the first goes on"
    assert second.returncode == 2
    assert [line for line in said.splitlines() if line.startswith(("error:", "warning:", "Trace"))] == [
        said.splitlines()[-1]
    ]
    assert f"is being trained by process {first.pid} on {socket.gethostname()}" in said

    first.kill()
    first.wait()
    third = Training(tmp_path, "one", settings=(*Training.settings, "trainer.max_kimg=0.08")).start()
    _, said = third.communicate(timeout=300)
    assert third.returncode == 0, said
    assert f"warning: took over the run from process {first.pid}" in said
    assert not list(endless.run.path.rglob(".*"))


def test_two_evaluations_at_once_append_whole_lines(tmp_path):
    training = Training(tmp_path, "measured", settings=(*Training.settings[:-2], "trainer.max_kimg=0.02"))
    training.finish()
    assert not training.mistakes
    command = [sys.executable, "-m", "wherewhat_pl", "eval", f"run={training.run.path}", "metrics=where,modularity"]
    command += ["samples=200", "--force"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    rows = [json.loads(line) for line in training.run.eval_file.open()]
    assert sorted(row["metric"] for row in rows) == ["modularity"] * 2 + ["where"] * 2
