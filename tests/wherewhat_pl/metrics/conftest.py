"""Inputs of the metrics' oracle: two tables of codes over a grid of 3DShapes' size, and what was sampled from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data_modules.factors import FactorSpace

ORACLE = Path(__file__).parents[2] / "oracle"
SPACE = FactorSpace(("floor", "wall", "object", "scale", "shape", "orientation"), (10, 10, 10, 8, 4, 15))


@dataclass(frozen=True)
class Case:
    """One table's samples and the reference's scores on them."""

    train: NDArray[np.float32]
    train_factors: NDArray[np.uint8]
    test: NDArray[np.float32]
    test_factors: NDArray[np.uint8]
    scores: dict

    @property
    def halves(self) -> tuple:
        return self.train, self.train_factors, self.test, self.test_factors


@pytest.fixture(scope="session")
def oracle_space() -> FactorSpace:
    return SPACE


@pytest.fixture(scope="session")
def oracle_arrays() -> dict:
    with np.load(ORACLE / "metrics_input.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="session", params=["mix", "axis"])
def case_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def case(case_name: str, oracle_arrays: dict) -> Case:
    scores = json.loads((ORACLE / "metrics_scores.json").read_text())["disentanglement_lib"][case_name]
    train, test = (oracle_arrays[f"mus_{part}_x1024_{case_name}"].T / np.float32(1024) for part in ("train", "test"))
    return Case(train, oracle_arrays["ys_train"].T, test, oracle_arrays["ys_test"].T, scores)


@pytest.fixture(scope="session")
def code_tables() -> dict[str, NDArray[np.float32]]:
    """Codes of every image, ``[480000, 10]``: a dense mix of the factors, and codes along them with odd ones added."""
    random = np.random.RandomState(20240101)
    weights = random.randn(6, 10) / np.sqrt(6.0)
    noise, axis_noise = random.randn(SPACE.num_images, 10), random.randn(SPACE.num_images, 10)
    sizes = np.array(SPACE.sizes)
    factors = np.stack(np.unravel_index(np.arange(SPACE.num_images), SPACE.sizes), axis=1).astype(np.float64)
    factors = (factors - (sizes - 1) / 2.0) / np.sqrt((sizes**2 - 1) / 12.0)
    axis = np.zeros((SPACE.num_images, 10))
    axis[:, :6] = factors + 0.05 * axis_noise[:, :6]
    axis[:, 6] = 0.5 * factors[:, 5] + 0.5 * factors[:, 0] + 0.05 * axis_noise[:, 6]
    axis[:, 7] = 0.07 * axis_noise[:, 7]
    axis[:, 8] = 0.01 * axis_noise[:, 8]
    tables = {"mix": factors @ weights + 0.3 * noise, "axis": axis}
    return {name: (np.round(table * 1024.0) / 1024.0).astype(np.float32) for name, table in tables.items()}
