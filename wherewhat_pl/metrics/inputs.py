"""What every supervised metric does first: turn codes and factors into checked arrays, and say what is odd about them.

The policy, everywhere: a code with NaN or infinite values, or so large or small that their squares are, carries no
information and is treated as a constant one; a factor with a single value cannot be predicted and is left out where the
definition divides by what it does not have. Both are said in a :class:`MetricWarning`; neither makes a score NaN.
"""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Codes = Tensor | ArrayLike
Factors = Tensor | ArrayLike


class FactorGrid(Protocol):
    """What grid-based scores need to know of a data set that is a product of finite factors, last one fastest."""

    def __hash__(self) -> int:
        """Draws are kept per grid."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each factor."""


LARGEST, SMALLEST = 1e18, 1e-18  #: size and spread of a code whose squares single precision holds


class MetricWarning(UserWarning):
    """A metric got an input on which its plain definition breaks down; the message says what was done instead."""


class Score(float):
    """A number that keeps the parts it was made of: ``score > 0.5``, and ``score["mutual_information"]``."""

    parts: dict[str, Any]

    def __new__(cls, value: float, **parts: Any) -> Score:
        score = super().__new__(cls, value)
        score.parts = parts
        return score

    def __getitem__(self, name: str) -> Any:
        return self.parts[name]


def as_array(values: Tensor | ArrayLike) -> NDArray[Any]:
    """Tensor (any device) or array-like -> numpy array of the same type; bfloat16, which numpy lacks, as float32."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return values.to(torch.float32).numpy() if values.dtype == torch.bfloat16 else values.numpy()
    return np.asarray(values)


def check_codes(codes: Codes, name: str = "codes") -> NDArray[np.floating]:
    """Codes ``[N, n]`` -> float array of the same precision, unusable codes set to 0 with a warning.

    Args:
        codes: real numbers, any float or integer type.
        name: what to call them in messages.

    Raises:
        ValueError: not two-dimensional, or empty.
    """
    array = as_array(codes)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name}: expected shape [samples, codes], got {list(array.shape)}")
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    elif array.dtype == np.float16:  # too coarse for edges of bins and for sums
        array = array.astype(np.float32)
    broken = _unusable(array)
    _warn(name, "code", broken, ("has", "have"), _UNUSABLE)
    if broken.any():
        array = np.where(broken, array.dtype.type(0), array)
    _warn(name, "code", ~broken & (array == array[0]).all(axis=0), ("is", "are"), "constant, without information")
    return array


def check_factors(factors: Factors, name: str = "factors") -> NDArray[np.int64]:
    """Factor values ``[N, f]``, integers of any type (or floats with integer values) -> int64 array.

    Raises:
        ValueError: not two-dimensional, empty, or not integers.
    """
    array = as_array(factors)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name}: expected shape [samples, factors], got {list(array.shape)}")
    if np.issubdtype(array.dtype, np.floating) and not (np.isfinite(array) & (array == np.round(array))).all():
        raise ValueError(f"{name}: expected integers (the position of each factor's value), got fractions or NaN")
    return array.astype(np.int64)


def check_pair(codes: Codes, factors: Factors, ending: str = "") -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Both of the above, and that they have as many samples as each other; ``ending`` is of their names in messages."""
    code_array, factor_array = check_codes(codes, f"codes{ending}"), check_factors(factors, f"factors{ending}")
    if len(code_array) != len(factor_array):
        raise ValueError(f"codes{ending} has {len(code_array)} samples but factors{ending} has {len(factor_array)}")
    return code_array, factor_array


def check_split(
    codes_train: Codes, factors_train: Factors, codes_test: Codes, factors_test: Factors
) -> tuple[NDArray[np.floating], NDArray[np.int64], NDArray[np.floating], NDArray[np.int64]]:
    """A training and a test half. A code unusable in one half is dropped (set to 0) in both."""
    train, train_factors = check_pair(codes_train, factors_train, "_train")
    test, test_factors = as_array(codes_test), check_factors(factors_test, "factors_test")
    if test.ndim != 2 or test.shape[1:] != train.shape[1:] or len(test) != len(test_factors) or len(test) == 0:
        raise ValueError(
            f"codes_test {list(test.shape)} and factors_test {list(test_factors.shape)} do not fit "
            f"codes_train {list(train.shape)}"
        )
    if test_factors.shape[1] != train_factors.shape[1]:
        raise ValueError(f"factors: {train_factors.shape[1]} in training but {test_factors.shape[1]} in the test half")
    test = test.astype(train.dtype, copy=False)
    broken_test = ~(np.abs(test) <= LARGEST).all(axis=0)
    broken = broken_test | _unusable(as_array(codes_train).astype(np.float64, copy=False))
    _warn("codes_test", "code", broken_test, ("has", "have"), _UNUSABLE)
    if broken.any():
        train, test = np.where(broken, train.dtype.type(0), train), np.where(broken, test.dtype.type(0), test)
    return train, train_factors, test, test_factors


def varying_factors(factors: NDArray[np.int64], metric: str) -> NDArray[np.intp]:
    """Positions of the factors with more than one value; warns about the others.

    Raises:
        ValueError: if there is none, since no score of them exists.
    """
    constant = (factors == factors[0]).all(axis=0)
    if constant.all():
        raise ValueError(f"{metric}: every factor has one value only in these {len(factors)} samples")
    _warn(metric, "factor", constant, ("is", "are"), "constant in these samples and left out")
    return np.flatnonzero(~constant)


_UNUSABLE = "NaN or infinite values, or too large or too small ones, and counted as constant"


def _unusable(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Which codes of ``[N, n]`` are not numbers to calculate with."""
    low, high = array.min(axis=0), array.max(axis=0)  # NaN if there is one
    with np.errstate(invalid="ignore", over="ignore"):
        sound = (np.maximum(-low, high) <= LARGEST) & ((low == high) | (high - low >= SMALLEST))
    return np.asarray(~sound)


def _warn(where: str, noun: str, flags: NDArray[np.bool_], verbs: tuple[str, str], what: str) -> None:
    positions = np.flatnonzero(flags)
    if len(positions) > 0:
        several = len(positions) > 1
        which = f"{noun}{'s' * several} {', '.join(map(str, positions))} {verbs[several]}"
        warnings.warn(f"{where}: {which} {what}", MetricWarning, stacklevel=5)
