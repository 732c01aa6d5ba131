"""Training batches made ahead by background threads, for images that are not on the accelerator already."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import torch
from torch import Tensor

from data_modules.base import BatchStream


class PrefetchedStream(BatchStream):
    """The same batches as :class:`BatchStream`, in the same order, each begun ``ahead`` batches early.

    A batch is a function of the clock alone, so it does not matter which thread makes it, or when.

    Args:
        batch_at: makes the batch of a time of the clock; called in background threads.
        clock: as in :class:`BatchStream`.
        batch_size: as in :class:`BatchStream`.
        device: where the batches lie.
        ahead: batches in the making or waiting.
        threads: that make them.
    """

    def __init__(
        self,
        batch_at: Callable[[int], Tensor],
        clock: Callable[[], int],
        batch_size: int,
        device: torch.device,
        ahead: int = 4,
        threads: int = 2,
    ) -> None:
        super().__init__(batch_at, clock, batch_size)
        self.device, self.ahead, self.threads = device, ahead, threads

    def __iter__(self) -> Iterator[Tensor]:
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="images")
        cuda = self.device.type == "cuda"
        # A stream of their own: on the training's, drawing the indices would wait for all the kernels queued there.
        stream = torch.cuda.Stream(self.device) if cuda else None

        def make(images_seen: int) -> tuple[Tensor, torch.cuda.Event | None]:
            with torch.cuda.stream(stream) if cuda else nullcontext():
                batch = self.batch_at(images_seen)
                return batch, stream.record_event() if stream is not None else None

        images_seen = self.clock()
        try:
            pending = deque(pool.submit(make, images_seen + i * self.batch_size) for i in range(self.ahead))
            while True:
                batch, made = pending.popleft().result()
                images_seen += self.batch_size
                pending.append(pool.submit(make, images_seen + (self.ahead - 1) * self.batch_size))
                if made is not None:
                    current = torch.cuda.current_stream(self.device)
                    current.wait_event(made)
                    batch.record_stream(current)  # its memory belongs to the other stream: not to be reused too early
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
