"""Preparation: what is written, what happens to bad images, and what an interruption or a second process costs."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data_modules import checksums
from data_modules.errors import DataError
from data_modules.photographs import decoding
from data_modules.photographs import prepare as preparation
from data_modules.photographs.decoding import CENTER_CROP, decode
from data_modules.photographs.pixel_budget import PixelBudget
from data_modules.photographs.prepare import prepare
from data_modules.photographs.prepared import PreparedImages, damaged_chunks
from data_modules.photographs.sources import open_source

CHUNK = 8
FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(preparation, "CHUNK", CHUNK)


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(60):
        pixels = random.integers(0, 256, (16 + i % 3, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder


def run(photos: Path, cache: Path, processes: int = 2, max_bad: float = 0.0, resolution: int = 16) -> PreparedImages:
    source = open_source(photos)
    return prepare(source, cache, "images", resolution, max_bad=max_bad, processes=processes, progress=False)


@pytest.fixture
def decoded(monkeypatch) -> Callable[[float], int]:
    """Counts decoded images over all processes; called with a number, slows each down by so many seconds."""
    count, delay = FORK.Value("q", 0), FORK.Value("d", 0.0)

    def counting(*args):
        with count.get_lock():
            count.value += 1
        time.sleep(delay.value)
        return decode(*args)

    def report(seconds: float) -> int:
        total, count.value, delay.value = count.value, 0, seconds
        return total

    monkeypatch.setattr(preparation, "decode", counting)
    return report


def test_the_array_holds_what_decoding_gives_and_nothing_is_written_elsewhere(photos, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    prepared = run(photos, tmp_path / "cache")
    array = prepared.array()
    assert array.shape == (60, 3, 16, 16)
    assert array.dtype == np.uint8
    assert not array.flags.writeable
    for row, name in enumerate(prepared.names):
        pixels, size = decode((photos / name).read_bytes(), CENTER_CROP, 16)
        assert (array[row] == pixels).all()
        assert tuple(prepared.sizes[row]) == size
    after = {path for path in tmp_path.rglob("*") if tmp_path / "cache" not in (path, *path.parents)}
    assert after == set(before)
    assert sorted(path.name for path in prepared.folder.iterdir()) == [
        "images.npy",
        "images.npy.sound",
        "index.json",
        "lock",
    ]


def test_the_second_time_nothing_is_decoded(photos, tmp_path, decoded):
    first = run(photos, tmp_path / "cache")
    assert decoded(0) == 60
    assert run(photos, tmp_path / "cache").fingerprint == first.fingerprint
    assert decoded(0) == 0


def test_the_index_says_where_the_pixels_come_from(photos, tmp_path):
    index = json.loads((run(photos, tmp_path / "cache").folder / "index.json").read_text())
    assert index["filter"] == "box"
    assert index["resolution"] == 16
    assert index["source_kind"] == "folder"
    assert index["source_fingerprint"] == open_source(photos).fingerprint


def test_bad_images_are_skipped_and_listed_up_to_the_limit(photos, tmp_path, caplog):
    (photos / "17.png").write_text("a text")
    Image.new("RGB", (100, 1)).save(photos / "40.png")
    with pytest.raises(DataError, match=r"data.max_bad=0.01: .* of the 60 images .*(17.png: not|40.png: too small)"):
        run(photos, tmp_path / "cache", max_bad=0.01)
    prepared = run(photos, tmp_path / "cache", max_bad=0.05)
    assert set(prepared.bad) == {"17.png", "40.png"}
    assert (prepared.folder / "bad_images.txt").read_text().splitlines() == [
        "17.png: not an image of a known format",
        "40.png: too small: 100x1 pixels",
    ]
    assert [row for row in range(60) if row not in prepared.rows()] == [17, 40]
    assert "skipped 2 of 60" in caplog.text
    with pytest.raises(DataError, match=r"data.max_bad=0.01"):  # the limit holds for a finished preparation, too
        run(photos, tmp_path / "cache", max_bad=0.01)


def chunk_records(cache: Path) -> int:
    return len(list(cache.glob("*/chunks/*.json")))


def start(photos: Path, cache: Path) -> multiprocessing.process.BaseProcess:
    process = FORK.Process(target=run, args=(photos, cache))
    process.start()
    return process


def wait_for(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def test_after_a_kill_at_most_the_unfinished_chunks_are_done_again(photos, tmp_path, decoded):
    whole = run(photos, tmp_path / "whole")
    decoded(0.01)
    process = start(photos, tmp_path / "cache")
    wait_for(lambda: chunk_records(tmp_path / "cache") >= 3)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    lock = next((tmp_path / "cache").glob("*/lock")).open()
    wait_for(lambda: _is_free(lock))  # orphaned workers leave by themselves
    done = chunk_records(tmp_path / "cache")
    decoded(0)
    continued = run(photos, tmp_path / "cache")
    assert decoded(0) <= 60 - CHUNK * done + CHUNK  # the last chunk is a short one
    assert continued.fingerprint == whole.fingerprint
    assert (continued.array() == whole.array()).all()


def _is_free(lock) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(lock, fcntl.LOCK_UN)
    return True


def test_two_processes_at_once_make_one_good_cache(photos, tmp_path, decoded):
    decoded(0.005)
    processes = [start(photos, tmp_path / "cache") for _ in range(2)]
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert decoded(0) == 60
    assert not damaged_chunks(run(photos, tmp_path / "cache").folder)
    assert decoded(0) == 0


def test_without_file_locks_two_processes_still_make_one_good_cache(photos, tmp_path, decoded, monkeypatch):
    def no_locks(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    decoded(0.002)
    processes = [start(photos, tmp_path / "cache") for _ in range(2)]
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert not damaged_chunks(run(photos, tmp_path / "cache").folder)
    assert (run(photos, tmp_path / "cache").array() == run(photos, tmp_path / "whole").array()).all()


def test_pixels_lost_in_a_crash_are_made_again(photos, tmp_path, monkeypatch):
    whole = run(photos, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(preparation._Job, "finish", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            run(photos, tmp_path / "cache")
    path = next((tmp_path / "cache").glob("*/images.npy"))
    np.load(path, mmap_mode="r+")[3:5] = 0
    assert (run(photos, tmp_path / "cache").array() == whole.array()).all()


def test_a_flipped_bit_is_found(photos, tmp_path):
    prepared = run(photos, tmp_path / "cache")
    assert damaged_chunks(prepared.folder) == []
    np.load(prepared.folder / "images.npy", mmap_mode="r+")[CHUNK, 0, 0, 0] ^= 1
    assert damaged_chunks(prepared.folder) == [1]


def test_damaged_chunks_are_made_again_from_the_source(photos, tmp_path, decoded, caplog):
    (photos / "17.png").write_text("a text")
    whole = run(photos, tmp_path / "whole", max_bad=0.05)
    prepared = run(photos, tmp_path / "cache", max_bad=0.05)
    path = prepared.folder / "images.npy"
    decoded(0)
    for damage, made_again in [
        (lambda: _flip_bit(path, path.stat().st_size - 1), 4),  # the last chunk is a short one
        (lambda: _flip_bit(path, 40), 0),  # in the header
        (lambda: os.truncate(path, path.stat().st_size - 5000), 12),
        (path.unlink, 60),
    ]:
        damage()
        again = run(photos, tmp_path / "cache", max_bad=0.05)
        assert decoded(0) == made_again
        assert (again.array() == whole.array()).all()
        assert (again.fingerprint, again.bad) == (whole.fingerprint, whole.bad)
        assert (again.sizes == whole.sizes).all()
    assert "images.npy is not what was written in 1 places, a failing disk? (images 56 to 63)" in caplog.text


def _flip_bit(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.slow
def test_two_processes_at_once_repair_one_array(photos, tmp_path, decoded):
    prepared = run(photos, tmp_path / "cache")
    good = (prepared.folder / "images.npy").read_bytes()
    for position in (200, 30_000):
        _flip_bit(prepared.folder / "images.npy", position)
    decoded(0.005)
    processes = [start(photos, tmp_path / "cache") for _ in range(2)]
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert decoded(0) == 2 * CHUNK
    assert (prepared.folder / "images.npy").read_bytes() == good


def test_a_killed_repair_is_taken_up_again(photos, tmp_path, decoded):
    prepared = run(photos, tmp_path / "cache")
    path = prepared.folder / "images.npy"
    good = path.read_bytes()
    path.write_bytes(good[:128] + bytes(len(good) - 128))
    decoded(0.02)
    process = start(photos, tmp_path / "cache")
    wait_for(lambda: decoded(0.02) > 0)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert path.read_bytes() != good
    decoded(0)
    assert run(photos, tmp_path / "cache").fingerprint == prepared.fingerprint
    assert path.read_bytes() == good


def test_processes_wait_for_each_other_where_their_images_would_not_fit_together(photos, tmp_path, monkeypatch):
    now, most = FORK.Value("q", 0), FORK.Value("q", 0)
    square = decoding._square

    def watched(stored, *rest):
        pixels = stored.width * stored.height
        with now.get_lock():
            now.value += pixels
            most.value = max(most.value, now.value)
        time.sleep(0.003)
        with now.get_lock():
            now.value -= pixels
        return square(stored, *rest)

    monkeypatch.setattr(decoding, "_square", watched)
    monkeypatch.setattr(preparation, "PixelBudget", partial(PixelBudget, limit=2 * 16 * 18))
    run(photos, tmp_path / "cache", processes=6)
    assert 16 * 18 < most.value <= 2 * 16 * 18


def test_sixty_flipped_bits_are_noticed_sixty_times(photos, tmp_path):
    prepared = run(photos, tmp_path / "cache")
    path = prepared.folder / "images.npy"
    good = path.read_bytes()
    positions = np.random.default_rng(0).integers(128, len(good), 60)
    noticed = 0
    for position in positions.tolist():
        _flip_bit(path, position)
        noticed += damaged_chunks(prepared.folder) == [(position - 128) // (CHUNK * 3 * 16 * 16)]
        path.write_bytes(good)
    assert noticed == 60


def test_a_damaged_array_whose_images_have_gone_is_one_line(photos, tmp_path):
    prepared = run(photos, tmp_path / "cache")
    source = open_source(photos)
    _flip_bit(prepared.folder / "images.npy", 200)
    for path in photos.iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"data.max_bad=0: .* 60 images .*cannot be read") as error:
        prepare(source, tmp_path / "cache", "images", 16, max_bad=0, progress=False)
    assert "\n" not in str(error.value)


def test_a_damaged_index_is_named(photos, tmp_path):
    folder = run(photos, tmp_path / "cache").folder
    index = json.loads((folder / "index.json").read_text())
    for text in ("{", "[]", "{}", json.dumps({**index, "sizes": index["sizes"][1:]})):
        (folder / "index.json").write_text(text)
        with pytest.raises(DataError, match=r"index.json is damaged .*; remove .*, it is made again"):
            run(photos, tmp_path / "cache")


def test_large_arrays_are_read_through_once_a_week_and_when_they_changed(photos, tmp_path, monkeypatch):
    path = run(photos, tmp_path / "cache").folder / "images.npy"
    assert checksums.is_due(path)  # a small one always is
    monkeypatch.setattr(checksums, "ALWAYS_BYTES", 0)
    assert not checksums.is_due(path)
    os.utime(path, (0, 0))
    assert checksums.is_due(path)
    assert damaged_chunks(path.parent) == []
    assert not checksums.is_due(path)
    now = time.time()
    monkeypatch.setattr(checksums.time, "time", lambda: now + 8 * 24 * 3600)
    assert checksums.is_due(path)


def test_photographs_that_moved_are_known_again_and_need_no_decoding(photos, tmp_path, decoded):
    before = run(photos, tmp_path / "cache")
    decoded(0)
    photos.rename(tmp_path / "elsewhere")
    assert run(tmp_path / "elsewhere", tmp_path / "cache").fingerprint == before.fingerprint
    assert decoded(0) == 0


def test_files_are_readable_as_the_umask_says(photos, tmp_path):
    before = os.umask(0o027)
    try:
        folder = run(photos, tmp_path / "cache").folder
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}


def test_a_full_disk_is_noticed_before_anything_is_written(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation.shutil, "disk_usage", lambda _: SimpleNamespace(free=190_000_000))
    with pytest.raises(DataError, match=r"data.cache: 60 images at 1024 px need 0.2 GB in .*, 0.2 GB are free"):
        run(photos, tmp_path / "cache", resolution=1024)
    assert not list((tmp_path / "cache").glob("*/images.npy"))


def test_a_cache_that_cannot_be_written_is_named(photos, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match=r"data.cache: cannot prepare images in .*cache"):
        run(photos, tmp_path / "cache")


def test_a_killed_worker_is_reported_and_ends_the_others(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "decode", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(DataError, match=r"a process ended with code -9"):
        run(photos, tmp_path / "cache")
    assert not multiprocessing.active_children()


def test_an_unforeseen_error_in_a_worker_ends_in_one_line(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "decode", lambda *_: 1 // 0)
    with pytest.raises(DataError, match=r"ZeroDivisionError: .*; run the same command to continue"):
        run(photos, tmp_path / "cache")


@pytest.mark.slow
def test_memory_stays_flat_with_large_photographs(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8)).save(folder / "0.jpg")
    for i in range(1, 24):
        (folder / f"{i}.jpg").hardlink_to(folder / "0.jpg")
    # In a process of its own: the system tells of the largest child only, which may be another test's.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        assert process.submit(largest_child, folder, tmp_path / "cache").result() < 2**20  # KiB; forked, with torch


def largest_child(folder: Path, cache: Path) -> int:
    run(folder, cache, resolution=512)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
