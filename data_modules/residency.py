"""Do a data set's images fit on the accelerator? One rule for all data sets."""

from __future__ import annotations

import torch

DEVICE_SHARE = 0.25  #: of an accelerator's memory that images may take; the rest is the training's


def fits_on_accelerator(num_bytes: int, device: torch.device) -> bool:
    """Whether images of this size may lie on ``device``: within :data:`DEVICE_SHARE` of its memory, and free now.

    Never on the CPU, where the memory map is as good as a copy and shared by all processes.
    """
    if device.type != "cuda":
        return False
    free, total = torch.cuda.mem_get_info(device)
    return num_bytes <= min(DEVICE_SHARE * total, free)
