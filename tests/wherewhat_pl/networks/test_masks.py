import pytest
import torch
import torch.nn.functional as F

from wherewhat_pl.bench.method import blend_in_a_loop
from wherewhat_pl.networks.layers import instance_norm
from wherewhat_pl.networks.masks import (
    MASK_MODULES,
    RectangleConstriction,
    SoftmaxConstriction,
    SpatialConstriction,
    blend_styles,
    rectangle_masks,
)


@pytest.mark.parametrize("num_latents", [1, 2, 5])
def test_closed_form_equals_the_loop(num_latents):
    torch.manual_seed(num_latents)
    inputs = [torch.randn(3, 4, 6, 6), torch.rand(3, num_latents, 6, 6), *torch.randn(2, 3, num_latents, 4)]
    inputs = [tensor.double().requires_grad_() for tensor in inputs]
    closed, loop = (blend(*inputs) for blend in (blend_styles, blend_in_a_loop))
    torch.testing.assert_close(closed, loop, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(loop)
    for ours, theirs in zip(
        torch.autograd.grad((closed * weights).sum(), inputs),
        torch.autograd.grad((loop * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_full_masks_leave_only_the_last_latent():
    x, masks = torch.randn(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    scales, shifts = torch.randn(2, 2, 3, 3)
    last = instance_norm(x) * (scales[:, -1, :, None, None] + 1) + shifts[:, -1, :, None, None]
    torch.testing.assert_close(blend_styles(x, masks, scales, shifts), last)


def test_empty_masks_change_nothing():
    x = torch.randn(2, 3, 4, 4)
    scales, shifts = torch.randn(2, 2, 3, 3)
    torch.testing.assert_close(blend_styles(x, torch.zeros(2, 3, 4, 4), scales, shifts), x)


def test_rectangles_are_where_the_ramps_rise():
    """Ramps that step at one pixel make an exact rectangle: rows 1..3, columns 2..4 of 6 (the end is exclusive)."""
    logits = torch.full((1, 1, 1, 4, 6), -1e4)
    for ramp, step in enumerate((1, 4, 2, 5)):
        logits[0, 0, 0, ramp, step] = 1e4
    expected = torch.zeros(6, 6)
    expected[1:4, 2:5] = 1
    torch.testing.assert_close(rectangle_masks(logits)[0, 0], expected)


def test_several_rectangles_are_averaged():
    logits = torch.randn(2, 3, 4, 4, 8)
    each = torch.stack([rectangle_masks(logits[:, :, s : s + 1]) for s in range(4)])
    torch.testing.assert_close(rectangle_masks(logits), each.mean(0))


def test_softmax_masks_sum_to_one_over_the_picture():
    module = SoftmaxConstriction(channels=4, num_latents=3)
    _, masks = module(torch.randn(2, 4, 8, 8), torch.randn(2, 3))
    torch.testing.assert_close(masks.sum((2, 3)), torch.ones(2, 3))


def test_masks_stay_in_float32_under_autocast():
    module = RectangleConstriction(channels=4, num_latents=2, resolution=8, num_rectangles=2)
    x, latents = torch.randn(2, 4, 8, 8), torch.randn(2, 2)
    expected, expected_masks = module(x, latents)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        blended, masks = module(x, latents)
    torch.testing.assert_close(masks, expected_masks)
    torch.testing.assert_close(blended, expected)


def test_instance_norm_is_that_of_the_method():
    x = torch.randn(2, 3, 4, 4) * 3 + 1
    centred = x - x.mean((2, 3), keepdim=True)
    torch.testing.assert_close(instance_norm(x), centred / (centred.square().mean((2, 3), keepdim=True) + 1e-8).sqrt())
    assert F.mse_loss(instance_norm(x * 10), instance_norm(x)) < 1e-10


@pytest.fixture
def registry(monkeypatch):
    """The kinds of masks; what a test defines is forgotten after it."""
    for word in ("C_whole", "C_other"):
        monkeypatch.setitem(MASK_MODULES, word, None)
        del MASK_MODULES[word]
    return MASK_MODULES


def define(kind, module, name="WholeConstriction"):
    return type(name, (SpatialConstriction,), {"kind": kind, "module": module, "__module__": __name__})


def test_two_kinds_of_masks_cannot_share_a_name(registry):
    define("whole", "C_whole")
    for kind, module, owner in [
        ("whole", "C_other", "WholeConstriction"),
        ("other", "C_whole", "WholeConstriction"),
        ("softmax", "C_other", "SoftmaxConstriction"),
        ("none", "C_other", "ModulatedConv"),
        ("other", "C_global", "ModulatedConv"),
    ]:
        with pytest.raises(TypeError, match=f"^Other: '.*' is the name of {owner} already"):
            define(kind, module, name="Other")
    assert set(registry) == {"C_spgroup", "C_spgroup_sm", "C_whole"}


@pytest.mark.parametrize("module", ["whole", "C-whole", "C_wh-ole"])
def test_a_word_that_no_module_list_could_hold_is_refused(registry, module):
    with pytest.raises(TypeError, match="must begin with C_ and hold no '-'"):
        define("whole", module)


def test_a_kind_may_be_defined_again_as_a_notebook_does(registry):
    define("whole", "C_whole")
    again = define("whole", "C_whole")
    assert registry["C_whole"] is again


def test_softmax_masks_reach_one_where_they_are_looked_at_and_rectangles_stay():
    masks = torch.rand(2, 3, 4, 4)
    assert (SoftmaxConstriction.scale(masks).amax((2, 3)) == 1).all()
    assert RectangleConstriction.scale(masks) is masks
