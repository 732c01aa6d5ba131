import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time

import pytest

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.run.lock import STALE_S, run_lock


def held_by(folder, **who):
    lock = folder / ".lock"
    lock.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": 0.0, "token": "x", **who}))
    return lock


def test_a_second_process_is_refused_in_one_line_that_names_the_first(tmp_path):
    with run_lock(tmp_path) as note:
        assert note == ""
        with pytest.raises(ConfigError, match=f"process {os.getpid()} on {socket.gethostname()}") as error:
            run_lock(tmp_path).__enter__()
        assert "\n" not in str(error.value)
    with run_lock(tmp_path):
        pass
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_the_lock_of_a_process_that_is_no_more_is_taken_over_with_a_word(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    held_by(tmp_path, pid=ended.pid)
    with run_lock(tmp_path) as note:
        assert f"from process {ended.pid}" in note
        assert "which is no more" in note


def test_another_host_is_lost_once_its_heart_has_stopped(tmp_path):
    lock = held_by(tmp_path, host="elsewhere")
    with pytest.raises(ConfigError, match="on elsewhere"):
        run_lock(tmp_path).__enter__()
    os.utime(lock, (0, time.time() - STALE_S - 10))
    with run_lock(tmp_path) as note:
        assert "silent for" in note


def test_a_lock_cut_short_by_a_full_disk_holds_nobody_up(tmp_path):
    (tmp_path / ".lock").write_text('{"host"')
    os.utime(tmp_path / ".lock", (0, 0))
    with run_lock(tmp_path):
        pass


def _try(folder, barrier, results):
    barrier.wait()
    try:
        with run_lock(folder):
            results.put("held")
            time.sleep(1)
    except ConfigError:
        results.put("refused")


@pytest.mark.slow
def test_of_many_that_take_over_at_once_one_gets_it(tmp_path):
    held_by(tmp_path, pid=2**22 + 1)  # above the largest process number
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(8), context.SimpleQueue()
    processes = [context.Process(target=_try, args=(tmp_path, barrier, results)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(results.get() for _ in processes) == ["held"] + ["refused"] * 7


def test_who_was_halted_for_so_long_that_another_took_over_ends(tmp_path):
    code = """
import sys, time
from pathlib import Path
from wherewhat_pl.run import lock
lock.BEAT_S = 0.1
with lock.run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        held_by(tmp_path, token="another")
        assert process.wait(timeout=30) == 1
        assert f"taken over by process {os.getpid()}" in process.stderr.read()
    assert (tmp_path / ".lock").exists(), "the other's"
