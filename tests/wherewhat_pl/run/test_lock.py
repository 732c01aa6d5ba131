import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import time

import pytest

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.run import lock
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


@pytest.mark.parametrize("text", ['{"host"', '{"host": "elsewhere"}', '{"token": "../other"}', '{"token": 1}', "[]"])
def test_a_damaged_lock_holds_nobody_up(tmp_path, text):
    (tmp_path / ".lock").write_text(text)
    os.utime(tmp_path / ".lock", (0, 0))
    with run_lock(tmp_path):
        pass


@pytest.mark.parametrize("found", ["token", "lock"])
def test_a_lock_that_came_into_a_lost_ones_place_is_left_alone(tmp_path, found):
    path = held_by(tmp_path, token="another")
    lost = {"token": "lost"} if found == "token" else None
    assert not lock._replace_lost(path, lost, "ours")
    assert json.loads(path.read_text())["token"] == "another"
    assert os.listdir(tmp_path) == [".lock"]


def test_a_lock_that_is_being_written_is_left_alone(tmp_path):
    path = tmp_path / ".lock"
    path.touch()
    assert not lock._replace_lost(path, None, "ours")
    os.utime(path, (0, time.time() - 3))
    assert lock._replace_lost(path, None, "ours")


def test_who_takes_over_waits_for_another_that_is_at_it_unless_it_was_killed(tmp_path):
    path, claim = held_by(tmp_path, token="lost"), tmp_path / ".lock.claim.lost"
    claim.touch()
    lost = lock._read(path)
    assert not lock._replace_lost(path, lost, "ours")
    os.utime(claim, (0, time.time() - STALE_S - 10))
    assert [lock._replace_lost(path, lost, "ours") for _ in range(2)] == [False, True]
    assert json.loads(path.read_text())["token"] == "ours"
    assert os.listdir(tmp_path) == [".lock"]


def _try(folder, barrier, results, slowly):
    if slowly:  # between reading who held it and taking it over, where another may have been quicker
        quick = lock._replace_lost
        lock._replace_lost = lambda *arguments: (time.sleep(random.random() / 5), quick(*arguments))[1]
    barrier.wait()
    try:
        with run_lock(folder):
            results.put("held")
            time.sleep(2)
    except ConfigError:
        results.put("refused")


@pytest.mark.slow
@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("damaged", [False, True])
def test_of_many_that_take_over_at_once_one_gets_it(tmp_path, slowly, damaged):
    path = held_by(tmp_path, pid=2**22 + 1)  # above the largest process number
    if damaged:
        path.write_text('{"host"')
        os.utime(path, (0, 0))
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(8), context.SimpleQueue()
    processes = [context.Process(target=_try, args=(tmp_path, barrier, results, slowly)) for _ in range(8)]
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
