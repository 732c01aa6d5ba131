"""One process at a time does a job, the others wait for it: ranks of one training, and jobs on a shared file system.

Not ``filelock``, which torch brings in whatever version: whether forked children let its lock go depends on that, and
where there are no locks it falls back to a marker file, which a killed process leaves behind.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def exclusive(path: Path, what: str, poll_s: float = 0.5) -> Iterator[int | None]:
    """Hold the lock file ``path``, waiting for it first.

    The lock is the kernel's (``flock``): it ends with the process that holds it, however that ends, so a killed
    preparation never has to be cleaned up by hand. Children inherit it and must close the file descriptor that is
    yielded, or they would keep the lock after their parent's death.

    Where a file system has no locks the work goes on without one, so what is done under it must be safe to do twice.

    Args:
        path: created if missing, never removed.
        what: the job, for the log: "preparing ...".
        poll_s: seconds between two attempts.

    Yields:
        The lock's file descriptor; ``None`` where there are no locks.
    """
    with path.open("a") as file:
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    log.warning("%s has no file locks: two jobs that start at once will both be %s", path.parent, what)
                    yield None
                    return
            if not waiting:
                log.info("another process is %s; waiting for it", what)
                waiting = True
            time.sleep(poll_s)
        yield file.fileno()
