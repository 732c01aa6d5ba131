"""A source of images -> one memory-mapped uint8 array and an index, made once, by several processes, in a cache.

The array is cut into chunks of a fixed number of images. A worker takes the next chunk, writes its images to their
places in ``images.npy`` and then the chunk's record; ``index.json`` is written last and says that all is there. Whoever
finds records but no index continues. Writing is a function of the source alone, so doing a chunk twice is harmless.
A finished array is checked before it is used (:mod:`checksums`), and its damaged chunks are made again in the same way.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import zlib
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_modules.checksums import is_due, note_as_sound
from data_modules.errors import DataError, one_line
from data_modules.locking import exclusive
from data_modules.machine import available_cores
from data_modules.photographs.decoding import CENTER_CROP, FILTER, BadImage, Crop, decode
from data_modules.photographs.pixel_budget import PixelBudget
from data_modules.photographs.prepared import PreparedImages, checksum, damaged_chunks, load_prepared, read_index
from data_modules.photographs.sources import ImageSource

log = logging.getLogger(__name__)

CHUNK = 256  # images: what an interruption loses at most, a few seconds' work
FORMAT_VERSION = 1


def prepare(
    source: ImageSource,
    cache: Path,
    name: str,
    resolution: int,
    crop: Crop = CENTER_CROP,
    max_bad: float = 0.001,
    processes: int | None = None,
    progress: bool = True,
) -> PreparedImages:
    """Prepare the images, or continue, or wait for the process that does, or find it done and sound.

    Args:
        source: the images.
        cache: folder that gets a sub-folder for this source and these settings; nothing is written elsewhere.
        name: of the data set, for the sub-folder and the progress bar.
        resolution: side of the prepared images in pixels.
        crop: which square of each image.
        max_bad: share of images that may be unreadable; they are skipped and listed.
        processes: that decode; ``None``: one per CPU core that this process may use.
        progress: show a bar.

    Raises:
        DataError: too many unreadable images, too little disk space, a folder that cannot be written, or an array that
            is damaged and cannot be repaired.
    """
    processes = processes or available_cores()
    settings = {
        "version": FORMAT_VERSION,
        "name": name,
        "resolution": resolution,
        "filter": FILTER,
        "crop": asdict(crop),
        "chunk": CHUNK,
        "source_kind": source.kind,
        "source_fingerprint": source.fingerprint,
    }
    if name == "images":  # the published sets have 8 bits, whatever the rule
        settings["deep_pixels"] = "white by the brightest"
    key = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=4).hexdigest()
    folder = cache / f"{name}-{resolution}-{key}"
    try:
        job = _Job(source, folder, resolution, crop)
        _prepare_once(job, settings, max_bad, processes, progress)
    except (OSError, DataError) as error:
        if (folder / "index.json").exists():
            pass  # without file locks, another process was quicker and cleared up
        elif isinstance(error, DataError):
            raise
        else:
            reason = error.strerror or error
            raise DataError(f"data.cache: cannot prepare images in {folder} ({reason})") from error
    if is_due(folder / "images.npy") and (damaged := damaged_chunks(folder, progress)):
        _repair(job, damaged, settings, max_bad, processes, progress)
    prepared = load_prepared(folder)
    if len(prepared.bad) > max_bad * len(source):
        raise _too_many_bad(source, prepared.bad, max_bad)
    return prepared


def _prepare_once(job: _Job, settings: dict[str, Any], max_bad: float, processes: int, progress: bool) -> None:
    index = job.folder / "index.json"
    if index.exists():
        return
    (job.folder / "chunks").mkdir(parents=True, exist_ok=True)
    with exclusive(job.folder / "lock", f"preparing {job.folder}") as lock:
        if not index.exists():
            job.make_array()
            job.run(lock, max_bad, processes, f"preparing {settings['name']}", progress)
            job.finish(settings)


def _repair(
    job: _Job, damaged: list[int], settings: dict[str, Any], max_bad: float, processes: int, progress: bool
) -> None:
    path, count = job.folder / "images.npy", len(damaged)
    parts = ", ".join(f"images {chunk * CHUNK} to {(chunk + 1) * CHUNK - 1}" for chunk in damaged[:3])
    what = f"{path} is not what was written in {count} places, a failing disk? ({parts}{', ...' if count > 3 else ''})"
    log.warning("%s; making them again from %s", what, job.source.path)
    try:
        with exclusive(job.folder / "lock", f"repairing {job.folder}") as lock:
            if damaged_chunks(job.folder):  # still: nobody else was quicker
                before = job.reopen()
                job.make_array()
                job.run(lock, max_bad, processes, f"repairing {settings['name']}", progress)
                if job.finish(settings) != before:
                    log.warning("%s: its images have changed since they were prepared", job.source.path)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"data.cache: {what} and cannot be repaired ({reason}); remove {job.folder}") from error


def _too_many_bad(source: ImageSource, bad: dict[str, str], max_bad: float) -> DataError:
    first = "; ".join(f"{name}: {reason}" for name, reason in list(bad.items())[:3])
    return DataError(
        f"data.max_bad={max_bad}: {len(bad)} or more of the {len(source)} images in {source.path} cannot be used "
        f"({first}{'; ...' if len(bad) > 3 else ''}); remove or replace them, or raise data.max_bad"
    )


@dataclass(frozen=True)
class _Job:
    """One preparation; its methods write to ``folder`` only."""

    source: ImageSource
    folder: Path
    resolution: int
    crop: Crop

    @property
    def num_chunks(self) -> int:
        return -(-len(self.source) // CHUNK)

    def make_array(self) -> None:
        path = self.folder / "images.npy"
        shape = (len(self.source), 3, self.resolution, self.resolution)
        size = int(np.prod(shape, dtype=np.int64))
        written = path.stat().st_blocks * 512 if path.exists() else 0
        free = shutil.disk_usage(self.folder).free
        if size - written + 2**26 > free:
            needed = f"{len(self.source)} images at {self.resolution} px need {(size - written) / 1e9:.1f} GB"
            raise DataError(
                f"data.cache: {needed} in {self.folder}, {free / 1e9:.1f} GB are free; "
                "choose another data.cache or a smaller data.resolution"
            )
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:  # twice is as good as once, and an array that is there keeps its pixels
            os.pwrite(descriptor, header.getvalue(), 0)
            os.ftruncate(descriptor, len(header.getvalue()) + size)  # sparse: takes no space yet
        finally:
            os.close(descriptor)

    def run(self, lock: int | None, max_bad: float, processes: int, title: str, progress: bool) -> None:
        # Forked workers start at once and need no importable main module; they call Pillow and numpy only, no torch.
        fork = sys.platform.startswith("linux")
        context: Any = multiprocessing.get_context("fork" if fork else "spawn")
        inherited = lock if fork else None  # workers let the lock go, or it would outlive a killed parent
        processes = max(1, min(processes, self.num_chunks))
        counts, messages = context.Array("q", processes, lock=False), context.SimpleQueue()
        budget = PixelBudget(context.Condition(), context.Value("q", 0, lock=False))
        shared = (context.Value("q", 0), counts, messages, budget)
        workers = [
            context.Process(target=_work, args=(self, inherited, i, *shared, os.getpid()), daemon=True)
            for i in range(processes)
        ]
        bad: dict[str, str] = {}
        bar = tqdm(total=len(self.source), desc=title, unit=" images", disable=not progress)
        try:
            for worker in workers:
                worker.start()
            alive = workers
            while alive:
                wait([worker.sentinel for worker in alive], timeout=0.2)
                alive = [worker for worker in alive if worker.is_alive()]  # before the queue: no message is missed
                while not messages.empty():
                    index, reason = messages.get()
                    if index < 0:
                        raise DataError(f"data.cache: preparation stopped: {reason}; run the same command to continue")
                    bad[self.source.names[index]] = reason
                bar.update(sum(counts) - bar.n)
                if len(bad) > max_bad * len(self.source):
                    raise _too_many_bad(self.source, bad, max_bad)
                failed = [worker.exitcode for worker in workers if worker.exitcode]
                if failed:
                    raise DataError(
                        f"data.cache: preparation stopped: a process ended with code {failed[0]} (-9: killed, often "
                        "for lack of memory); run the same command to continue"
                    )
        finally:
            bar.close()
            for worker in workers:
                if worker.pid is not None:
                    worker.terminate()
                    worker.join()

    def work(self, next_chunk: Any, counts: Any, worker: int, messages: Any, budget: PixelBudget, parent: int) -> None:
        read = self.source.reader()
        array = np.load(self.folder / "images.npy", mmap_mode="r", allow_pickle=False)
        with (self.folder / "images.npy").open("r+b", buffering=0) as file:
            while True:
                with next_chunk.get_lock():
                    chunk, next_chunk.value = next_chunk.value, next_chunk.value + 1
                if chunk >= self.num_chunks:
                    return
                first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.source))
                record = self.read_record(chunk)
                if record and checksum(array[first:last]) == record["checksum"]:  # done before an interruption
                    for index, reason in record["bad"].items():
                        messages.put((int(index), reason))
                    counts[worker] += last - first
                    continue
                sizes, bad, crc = [], {}, 0
                for index in range(first, last):
                    if os.getppid() != parent:  # the parent was killed: leave at once, another process may take over
                        os._exit(1)
                    try:
                        pixels, size = decode(read(index), self.crop, self.resolution, budget)
                    except BadImage as error:
                        pixels, size = np.zeros(array.shape[1:], np.uint8), (0, 0)
                        bad[index] = str(error)[:200]  # short messages go through a pipe in one piece
                        messages.put((index, bad[index]))
                    data = pixels.tobytes()
                    crc = zlib.crc32(data, crc)
                    os.pwrite(file.fileno(), data, array.offset + index * len(data))
                    sizes.append(size)
                    counts[worker] += 1
                self.write_json(f"chunks/{chunk:06d}.json", {"checksum": crc, "sizes": sizes, "bad": bad})

    def reopen(self) -> str:
        """Write the chunks' records again, so that those which do not match are made again; the old fingerprint.

        The index stays for processes that start meanwhile. After a kill the array is found damaged again.
        """
        index = read_index(self.folder)
        (self.folder / "chunks").mkdir(exist_ok=True)
        bad = {row: index["bad"][name] for row, name in enumerate(index["names"]) if name in index["bad"]}
        for chunk, crc in enumerate(index["checksums"]):
            first, last = chunk * CHUNK, (chunk + 1) * CHUNK
            own = {row: reason for row, reason in bad.items() if first <= row < last}
            self.write_json(
                f"chunks/{chunk:06d}.json", {"checksum": crc, "sizes": index["sizes"][first:last], "bad": own}
            )
        return str(index["fingerprint"])

    def read_record(self, chunk: int) -> dict[str, Any] | None:
        try:
            return json.loads((self.folder / f"chunks/{chunk:06d}.json").read_text())
        except (OSError, ValueError):
            return None

    def write_json(self, name: str, content: dict[str, Any], sync: bool = False) -> None:
        temporary = self.folder / f"{name}.{os.getpid()}.tmp"
        with temporary.open("w") as file:
            json.dump(content, file)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(self.folder / name)

    def finish(self, settings: dict[str, Any]) -> str:
        """Write the index; the fingerprint of the pixels."""
        records = [json.loads((self.folder / f"chunks/{i:06d}.json").read_text()) for i in range(self.num_chunks)]
        bad = {self.source.names[int(i)]: reason for record in records for i, reason in record["bad"].items()}
        checksums = [record["checksum"] for record in records]
        if bad:
            listing = "".join(f"{name}: {reason}\n" for name, reason in bad.items())
            (self.folder / "bad_images.txt").write_text(listing, errors="surrogateescape")
            log.warning("skipped %d of %d images: see %s", len(bad), len(self.source), self.folder / "bad_images.txt")
        with (self.folder / "images.npy").open("r+b") as file:
            os.fsync(file.fileno())  # the index must never be on the disk before the pixels
        note_as_sound(self.folder / "images.npy")
        fingerprint = hashlib.blake2b(repr((self.resolution, checksums)).encode(), digest_size=8).hexdigest()
        self.write_json(
            "index.json",
            {
                "fingerprint": fingerprint,
                **settings,
                "source": str(self.source.path),
                "bad": bad,
                "checksums": checksums,
                "names": self.source.names,
                "sizes": [size for record in records for size in record["sizes"]],
            },
            sync=True,
        )
        shutil.rmtree(self.folder / "chunks", ignore_errors=True)
        return fingerprint


def _work(
    job: _Job,
    inherited: int | None,
    worker: int,
    next_chunk: Any,
    counts: Any,
    messages: Any,
    budget: PixelBudget,
    parent: int,
) -> None:
    for number in (signal.SIGINT, signal.SIGUSR1):  # the parent hears them too, and ends its workers
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a training's own handler came along with the fork
    if inherited is not None:
        os.close(inherited)
    try:
        job.work(next_chunk, counts, worker, messages, budget, parent)
    except Exception as error:
        messages.put((-1, f"{type(error).__name__}: {one_line(error)}"))
