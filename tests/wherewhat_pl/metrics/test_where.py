"""The "where" metrics on constructed masks with known answers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wherewhat_pl.metrics import functional as F
from wherewhat_pl.networks.masks import match_size


def regions() -> Tensor:
    """Three latents' masks on 4 x 6 pixels: left third, middle third, right third: ``[3, 4, 6]``."""
    return torch.eye(3).repeat_interleave(2, dim=1)[:, None].expand(3, 4, 6)


def paint(latents: Tensor) -> Tensor:
    """Latent i is the brightness of region i: images ``[B, 1, 4, 6]``."""
    return torch.einsum("bi,ihw->bhw", latents, regions())[:, None]


def test_a_latent_painted_under_its_mask_is_fully_faithful():
    changes = F.traversal_change(paint, torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(changes, 4 * regions().expand(5, 3, 4, 6))  # from -2 to 2
    own = F.mask_faithfulness(changes, regions().expand(5, 3, 4, 6))
    torch.testing.assert_close(own.inside, torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(own.area, torch.full((3,), 1 / 3, dtype=torch.float64))
    torch.testing.assert_close(own.lift, torch.ones(3, dtype=torch.float64))


def test_a_full_mask_has_no_lift_and_the_complement_a_negative_one():
    changes = F.traversal_change(paint, torch.zeros(2, 3))
    full = F.mask_faithfulness(changes, torch.ones(2, 3, 4, 6))
    assert full.inside.tolist() == [1, 1, 1]
    assert full.lift.tolist() == [0, 0, 0]
    complement = F.mask_faithfulness(changes, 1 - regions().expand(2, 3, 4, 6))
    assert complement.inside.tolist() == [0, 0, 0]
    torch.testing.assert_close(complement.lift, torch.full((3,), -2.0, dtype=torch.float64))
    half = F.mask_faithfulness(changes, torch.full((2, 3, 4, 6), 0.5))
    torch.testing.assert_close(half.inside, torch.full((3,), 0.5, dtype=torch.float64))
    assert half.lift.abs().max() < 1e-9


def test_a_change_that_comes_back_counts():
    def wave(latents: Tensor) -> Tensor:
        return latents[:, :, None, None].square().expand(-1, -1, 2, 2)

    changes = F.traversal_change(wave, torch.zeros(1, 1), points=3)
    torch.testing.assert_close(changes, torch.full((1, 1, 2, 2), 8.0))


def test_a_latent_without_effect_is_undefined_and_said():
    def ignore_the_last(latents: Tensor) -> Tensor:
        return paint(latents * torch.tensor([1.0, 1.0, 0.0]))

    changes = F.traversal_change(ignore_the_last, torch.zeros(2, 3))
    with pytest.warns(F.MetricWarning, match="no change under latents 2"):
        result = F.mask_faithfulness(changes, regions().expand(2, 3, 4, 6))
    assert result.inside.isnan().tolist() == [False, False, True]
    assert result.lift.isnan().tolist() == [False, False, True]
    assert result.area.isfinite().all()


def test_area_is_the_share_of_the_image():
    torch.testing.assert_close(F.mask_area(regions()[None]), torch.full((3,), 1 / 3, dtype=torch.float64))
    assert F.mask_area(torch.ones(2, 4, 3, 3)).tolist() == [1, 1, 1, 1]


def test_overlap_of_disjoint_equal_and_shifted_masks():
    disjoint = F.mask_overlap(regions()[None])
    torch.testing.assert_close(disjoint, torch.eye(3, dtype=torch.float64))
    assert F.mean_overlap(regions()[None]) == 0
    columns = torch.zeros(1, 3, 1, 4)
    columns[0, 0, 0, :2] = columns[0, 1, 0, 1:3] = 1  # two columns each, one in common; the third mask is empty
    overlap = F.mask_overlap(columns)
    assert overlap[0, 1].item() == pytest.approx(1 / 3)
    assert overlap[0, 2].item() == 0
    assert F.mask_overlap(torch.full((1, 2, 2, 2), 0.3)).min() == pytest.approx(1)
    assert F.mean_overlap(torch.ones(1, 1, 2, 2)) == 0


def test_stability_is_the_share_of_equal_pairs():
    left, right = regions()[0], regions()[2]
    fixed = torch.stack([left] * 4)
    alternating = torch.stack([left, right, left, right])
    stability = F.mask_stability(torch.stack([fixed, alternating, torch.zeros(4, 4, 6)], dim=1))
    torch.testing.assert_close(stability, torch.tensor([1.0, 2 / 6, 0.0], dtype=torch.float64))
    with pytest.raises(ValueError, match="two samples"):
        F.mask_stability(regions()[None])


def test_coarse_masks_are_enlarged_without_changing_their_area():
    coarse = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(F.mask_area(match_size(coarse, (16, 16))), F.mask_area(coarse))
    assert match_size(coarse, (6, 6)).shape == (2, 3, 6, 6)
    assert match_size(coarse, (4, 4)) is coarse


def test_wrong_masks_are_one_sentence():
    with pytest.raises(ValueError, match=r"values in \[0, 1\], got 0 to 5"):
        F.mask_area(torch.linspace(0, 5, 4).view(1, 1, 2, 2))
    with pytest.raises(ValueError, match="expected shape"):
        F.mask_overlap(torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match="differ"):
        F.mask_faithfulness(torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 4, 4))
