"""Gradients recorded once as a CUDA graph and replayed: hundreds of small kernels for the price of one launch.

Small networks leave a GPU waiting for Python. What is replayed is what was run at the first call: the same kernels on
the same memory, with new inputs and, since a graph takes seed and offset from PyTorch's generator, new random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

WARM_UP = 3  # calls before the recording, in which libraries choose their kernels and caches are filled


class Recordings:
    """Recorded functions by name; a copy of their owner has none yet."""

    def __init__(self) -> None:
        self._by_name: dict[str, RecordedGradients] = {}

    def run(
        self, name: str, function: Callable[..., Tensor], parameters: Iterable[nn.Parameter], *inputs: Tensor
    ) -> Tensor:
        """Record a function under a name that is new, or replay the one that has it; see :class:`RecordedGradients`."""
        if name not in self._by_name:
            self._by_name[name] = RecordedGradients(function, parameters, inputs)
        return self._by_name[name](*inputs)

    def __deepcopy__(self, memo: dict[int, object]) -> Recordings:
        return Recordings()


class RecordedGradients:
    """A function that sets the gradients of parameters, recorded.

    Args:
        function: takes tensors, sets ``grad`` of the parameters (from None), returns a tensor; must not ask the device
            for a value, and must do the same at every call.
        parameters: whose gradients it sets.
        inputs: examples of what it is called with.

    Raises:
        RuntimeError: the function cannot be recorded.
    """

    def __init__(
        self, function: Callable[..., Tensor], parameters: Iterable[nn.Parameter], inputs: tuple[Tensor, ...]
    ) -> None:
        self._parameters = list(parameters)
        self._inputs = tuple(tensor.clone() for tensor in inputs)
        drawn = torch.cuda.get_rng_state()
        try:
            self._warm_up(function)
            torch.clear_autocast_cache()  # or weights rounded in the warm-up would be read at every replay
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._result = function(*self._inputs)
            torch.clear_autocast_cache()
            self._gradients = [parameter.grad for parameter in self._parameters]
        finally:
            torch.cuda.set_rng_state(drawn)  # what was drawn on the way is drawn again

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Inputs of the recorded shapes; the result and the gradients are overwritten by the next call."""
        for kept, new in zip(self._inputs, inputs, strict=True):
            kept.copy_(new)
        self._graph.replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._result

    def _warm_up(self, function: Callable[..., Tensor]) -> None:
        """Run it on a stream of its own, as a recording does, and leave no gradients behind."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._forget_gradients()
                function(*self._inputs)
            self._forget_gradients()
        torch.cuda.current_stream().wait_stream(stream)

    def _forget_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
