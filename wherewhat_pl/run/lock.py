"""One process at a time trains into a run's folder, on network file systems too.

The lock is a file that says who holds it (host, process, since when) and whose time of change is its heartbeat. Kernel
locks (``flock``, as filelock takes them) do not reach other hosts on many of the file systems that clusters have, and
its soft lock has no heartbeat, so a node that was lost would hold a run for ever.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from wherewhat_pl.errors import ConfigError

BEAT_S = 15.0  #: between two heartbeats
STALE_S = 90.0  #: without one, the holder counts as lost


@contextmanager
def run_lock(folder: Path) -> Iterator[str]:
    """Hold a run's lock while the block runs.

    Args:
        folder: of the run; exists.

    Yields:
        A sentence for the user if a lost process's lock was taken over, else nothing.

    Raises:
        ConfigError: another process holds it; says which.
    """
    path, token = folder / ".lock", uuid.uuid4().hex
    note = _take(path, token)
    _forget_attempts(folder)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, token, stop), daemon=True, name="run lock")
    beat.start()
    try:
        yield note
    finally:
        stop.set()
        beat.join()
        if (_read(path) or {}).get("token") == token:
            path.unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Whether a living process trains into a run's folder; for who only looks, writes nothing."""
    path = folder / ".lock"
    try:
        silent = time.time() - path.stat().st_mtime
    except OSError:
        return False
    holder = _read(path)
    return silent < STALE_S and (holder is None or not _is_gone(holder))


def _take(path: Path, token: str) -> str:
    while True:
        if _create(path, token):
            return ""
        holder = _read(path)
        if holder is None:  # gone, being written this moment, or damaged
            time.sleep(0.2)
            if _replace_lost(path, None, token):
                return ""
        elif (why := _why_lost(path, holder)) is None:
            raise ConfigError(
                f"run.name={path.parent.name}: {path.parent} is being trained by {_in_words(holder)}; "
                "wait for it, stop it, or choose another run.name"
            )
        elif _replace_lost(path, holder, token):
            return f"took over the run from {_in_words(holder)}, {why}"


def _create(path: Path, token: str) -> bool:
    """Whether the lock is ours now: a file that is whole when it appears, linked to a name that must be free."""
    own = _write_own(path, token)
    try:
        os.link(own, path)
    except FileExistsError:
        return False
    except OSError:  # no hard links here: exclusive creation instead, whose content comes a moment later
        try:
            with path.open("x") as file:
                file.write(own.read_text())
        except FileExistsError:
            return False
    finally:
        own.unlink(missing_ok=True)
    return True


def _write_own(path: Path, token: str) -> Path:
    own = path.with_name(f".lock.{token}")
    own.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": time.time(), "token": token}))
    return own


def _read(path: Path) -> dict[str, Any] | None:
    try:
        holder = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    token = holder.get("token") if isinstance(holder, dict) else None
    return holder if isinstance(token, str) and token.isalnum() else None  # it becomes part of a file's name


def _why_lost(path: Path, holder: dict[str, Any]) -> str | None:
    """Why its holder counts as lost; None if it lives."""
    if _is_gone(holder):
        return "which is no more"
    silent = _silent_s(path)
    return f"which has been silent for {silent:.0f} s" if silent > STALE_S else None


def _is_gone(holder: dict[str, Any]) -> bool:
    """Whether it was a process of this host that is no more; of other hosts only silence tells."""
    if holder.get("host") != socket.gethostname():
        return False
    try:
        os.kill(int(holder["pid"]), 0)
    except (ProcessLookupError, ValueError, KeyError, OverflowError):
        return True
    except PermissionError:
        pass
    return False


def _silent_s(path: Path) -> float:
    """Seconds since a file was last touched; 0 if it is gone."""
    try:
        return _clock(path.parent) - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _clock(folder: Path) -> float:
    """The file system's own time: hosts' clocks differ."""
    probe = folder / f".clock.{uuid.uuid4().hex}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def _replace_lost(path: Path, holder: dict[str, Any] | None, token: str) -> bool:
    """Put our lock in a lost one's place, and in no other's that may have come there meanwhile; whether it was done.

    Of many that try this at once, only the one that holds the claim looks again and replaces.
    """
    claim = path.with_name(f".lock.claim.{holder['token'] if holder else 'damaged'}")
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:  # another process is at it, or was killed there
        if _silent_s(claim) > STALE_S:
            claim.unlink(missing_ok=True)
        time.sleep(0.05)
        return False
    try:
        if not path.exists() or _read(path) != holder or (holder is None and _silent_s(path) < 2):
            return False
        os.replace(_write_own(path, token), path)
        return True
    finally:
        claim.unlink(missing_ok=True)


def _forget_attempts(folder: Path) -> None:
    """Remove what processes left that were killed while they tried to take the lock; not what others need now."""
    now = _clock(folder)
    for left in [*folder.glob(".lock.*"), *folder.glob(".clock.*")]:
        with contextlib.suppress(FileNotFoundError):
            if now - left.stat().st_mtime > STALE_S:
                left.unlink()


def _beat(path: Path, token: str, stop: threading.Event) -> None:
    """Keep the lock alive. Who was halted for so long that it counted as lost must not go on beside its successor."""
    while not stop.wait(BEAT_S):
        with contextlib.suppress(OSError):
            holder = _read(path)
            if holder is not None and holder["token"] != token:
                os.write(2, f"error: {path.parent}: taken over by {_in_words(holder)}; this process ends\n".encode())
                os._exit(1)
            if holder is not None:
                os.utime(path)


def _in_words(holder: dict[str, Any]) -> str:
    since = datetime.fromtimestamp(float(holder.get("since") or 0)).isoformat(" ", "minutes")
    return f"process {holder.get('pid')} on {holder.get('host')} (since {since})"
