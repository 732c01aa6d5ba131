"""Freed memory is kept for the next step, where the C library would hand it back to the system.

A step frees and asks for the same few megabytes again and again. glibc gives large blocks back at once, and the kernel
then clears every page anew: 2,000 page faults per step of `shapes3d_quick`, an eighth of its time. Above these
thresholds memory still goes back. Nothing else changes, and other C libraries are left alone.
"""

from __future__ import annotations

import ctypes
import platform

LARGEST_BLOCK_MB = 32  #: glibc's own upper limit for the threshold above which a block is mapped by itself
KEPT_MB = 512  #: free memory at the end of the heap that stays with the process

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> bool:
    """Raise glibc's thresholds for this process; False, and nothing done, where the C library is another."""
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGEST_BLOCK_MB * 2**20) and mallopt(_M_TRIM_THRESHOLD, KEPT_MB * 2**20))
