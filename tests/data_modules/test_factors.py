"""Indices and factors: mixed-radix arithmetic, last factor fastest."""

from itertools import product

import torch

from data_modules.factors import FactorSpace

SPACE = FactorSpace(("a", "b", "c"), (2, 3, 4))


def test_all_combinations_come_in_the_order_of_nested_loops():
    assert SPACE.all().tolist() == [list(values) for values in product(range(2), range(3), range(4))]


def test_index_of_factors_of_index_is_the_index():
    indices = torch.arange(SPACE.num_images)
    assert torch.equal(SPACE.to_index(SPACE.to_factors(indices)), indices)


def test_a_fixed_factor_stays_while_the_others_take_all_values():
    factors = SPACE.sample(500, torch.Generator().manual_seed(0), fixed={1: 2})
    assert [sorted(set(column.tolist())) for column in factors.T] == [[0, 1], [2], [0, 1, 2, 3]]


def test_a_grid_varies_two_factors_and_leaves_the_rest():
    grid = SPACE.grid("c", "a", at=(0, 1, 0))
    assert grid.shape == (4, 2, 3)
    assert grid[3, 1].tolist() == [1, 1, 3]
