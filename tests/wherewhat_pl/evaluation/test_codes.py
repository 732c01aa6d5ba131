import numpy as np
import torch

from wherewhat_pl.evaluation.codes import CodeTable, encode_sample


def draw(indices):
    """Image i is the number i: ``[B, 1, 1, 1]``."""
    return indices.view(-1, 1, 1, 1)


class Companions:
    """An encoder whose code is the image's number and the sum over its group of four, as minibatch statistics are."""

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        numbers = ((images + 1) * 127.5).round().flatten()
        groups = numbers.view(4, -1).sum(0).repeat(4)
        return torch.stack([numbers, groups], dim=1)


def test_an_image_has_the_same_code_whatever_else_is_asked_for():
    whole, alone = (CodeTable(draw, Companions(), 200, 2, batch=16) for _ in range(2))
    table = whole(np.arange(200))
    assert np.array_equal(table[:, 0], np.arange(200))
    for index in (0, 57, 199):
        assert np.array_equal(alone(np.array([index, index])), table[[index, index]])
    assert np.array_equal(alone(np.arange(0, 200, 7)), table[::7])


def test_no_image_is_encoded_twice():
    encode = Companions()
    table = CodeTable(draw, encode, 200, 2, batch=64)
    table(np.arange(120))
    table(np.arange(200))
    table(np.arange(200))
    assert encode.seen == 200


def test_companions_are_not_the_neighbours_in_the_grid():
    table = CodeTable(draw, Companions(), 200, 2)(np.arange(200))
    mean_of_others = (table[:, 1] - table[:, 0]) / 3
    assert abs(np.corrcoef(table[:, 0], mean_of_others)[0, 1]) < 0.2


def test_a_sample_is_encoded_in_its_order_and_in_full_groups():
    encode = Companions()
    codes = encode_sample(draw, encode, torch.tensor([9, 3, 3, 100, 7, 50]), batch=4)
    assert codes[:, 0].tolist() == [9, 3, 3, 100, 7, 50]
    assert encode.seen == 8
