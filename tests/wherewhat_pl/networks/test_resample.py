import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from wherewhat_pl.losses import r1_penalty
from wherewhat_pl.networks import resample
from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.layers import append_minibatch_stddev


def plain_filter(x, padding, gain=1.0, stride=1):
    """The same filter, its derivatives left to autograd."""
    taps = torch.tensor(resample.TAPS, dtype=x.dtype)
    kernel = torch.outer(taps, taps) / taps.sum() ** 2 * gain
    return F.conv2d(x, kernel.expand(x.shape[1], 1, 4, 4), padding=padding, stride=stride, groups=x.shape[1])


@pytest.mark.parametrize(
    ("padding", "gain", "stride"),
    [(1, 1.0, 2), *(pytest.param(*case, marks=pytest.mark.slow) for case in [(1, 4.0, 1), (2, 1.0, 1)])],
)
def test_filter_and_its_derivatives(padding, gain, stride):
    x = torch.randn(2, 3, 6, 6, dtype=torch.double, requires_grad=True)

    def work(tensor):
        return resample.resample_filter(tensor, padding, gain, stride)

    torch.testing.assert_close(work(x), plain_filter(x, padding, gain, stride))
    assert torch.autograd.gradcheck(work, x)
    assert torch.autograd.gradgradcheck(work, x)


def test_a_constant_picture_stays_constant_inside():
    x = torch.ones(1, 1, 8, 8)
    identity = torch.ones(1, 1, 1, 1)
    assert (resample.conv_down(x, identity)[..., 1:-1, 1:-1] == 1).all()
    assert (resample.conv_up(x, identity)[..., 3:-3, 3:-3] == 1).all()


class CountOperations(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_r1_does_not_loop_over_channels(monkeypatch):
    """A grouped convolution's double backward takes several operations per channel; the filter's takes one in all."""

    def operations(channels):
        critic = Critic(16, 3, 1, FeatureMaps(channels, 0, channels, channels))
        with CountOperations() as counter:
            r1_penalty(critic, torch.randn(4, 3, 16, 16)).sum().backward()
        return counter.count

    assert operations(8) == operations(32)
    with monkeypatch.context() as patch:
        patch.setattr(resample, "resample_filter", plain_filter)
        assert operations(32) > operations(8) > 0


def test_r1_is_the_squared_gradient_norm():
    images = torch.randn(3, 2, 4, 4, dtype=torch.float32)

    def quadratic(x):
        return (x.square().sum((1, 2, 3)) / 2)[:, None]  # gradient: x itself

    torch.testing.assert_close(r1_penalty(quadratic, images), images.square().sum((1, 2, 3)))


def test_minibatch_stddev_groups_are_strided():
    """With 8 samples in groups of 4 there are two groups: even and odd samples."""
    x = torch.zeros(8, 1, 2, 2)
    x[::2] = torch.randn(4, 1, 2, 2)
    added = append_minibatch_stddev(x)[:, -1]
    assert (added[::2] > 0.01).all()
    torch.testing.assert_close(added[1::2], torch.full((4, 2, 2), 1e-4))


@pytest.mark.parametrize("batch", [1, 2, 3, 6, 7])
def test_minibatch_stddev_takes_any_batch_size(batch):
    assert append_minibatch_stddev(torch.randn(batch, 2, 4, 4)).shape == (batch, 3, 4, 4)
