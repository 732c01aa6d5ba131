import numpy as np
import torch

from wherewhat_pl.analysis.traverse import traverse
from wherewhat_pl.model import Latent, Model
from wherewhat_pl.pictures.pixels import mask_over_image, to_uint8
from wherewhat_pl.pictures.traversal import traversal_picture


class Halves(Model):
    """Latent 0 paints the left half and latent 1 the right half, twice as strongly; latent 2 does nothing."""

    device = torch.device("cpu")

    def __init__(self, with_masks=True):
        self.num_latents, self.resolution, self.channels, self.prior, self.recognizer = 3, 8, 1, "normal", None
        self.masked_latents = [0, 1] if with_masks else []

    def _draw(self, latents, with_masks):
        images = torch.zeros(len(latents), 1, 8, 8)
        images[..., :4] = 0.1 * latents[:, 0, None, None, None]
        images[..., 4:] = 0.2 * latents[:, 1, None, None, None]
        masks = torch.zeros(len(latents), 2, 4, 4)
        masks[:, 0, :, :2] = 1
        masks[:, 1, :, 2:] = 0.5
        return images, [masks] if self.has_masks else []


def test_latents_are_ordered_by_how_much_they_change():
    result = traverse(Halves(), torch.zeros(3), columns=5, change_over=torch.randn(2, 3))
    assert result.order == [1, 0, 2]
    torch.testing.assert_close(result.change, torch.tensor([0.2, 0.4, 0.0]))  # 4 times 0.1 on half of the pixels


def test_each_row_varies_one_latent_from_low_to_high():
    base = torch.tensor([0.5, -0.5, 3.0])
    result = traverse(Halves(), base, columns=5)
    assert result.values.tolist() == [[-2, -1, 0, 1, 2]] * 3
    torch.testing.assert_close(result.images[0, :, 0, 0, 0], 0.1 * result.values[0])
    torch.testing.assert_close(result.images[0, :, 0, 0, 7], torch.full((5,), -0.1))  # the other one stays at its base
    torch.testing.assert_close(result.images[2], result.base_image.expand(5, 1, 8, 8))


def test_a_latents_own_range_and_sign_are_kept():
    model = Halves()
    model.call_latents([Latent("left", -1, -1.0, 3.0), "right", "nothing"])
    result = traverse(model, torch.zeros(3), columns=5)
    assert result.values.tolist() == [[3, 2, 1, 0, -1], [-2, -1, 0, 1, 2], [-2, -1, 0, 1, 2]]
    torch.testing.assert_close(result.images[0, :, 0, 0, 0], 0.1 * result.values[0])
    assert traverse(model, torch.zeros(3), columns=3, limit=1).values.tolist() == [[1, 0, -1], [-1, 0, 1], [-1, 0, 1]]
    chosen = traversal_picture(result, [1])
    assert traversal_picture(result).height - chosen.height == 2 * (64 + 2)


def test_masks_stand_at_their_latents_and_at_the_images_resolution():
    masks = traverse(Halves(), torch.zeros(3)).masks
    assert masks.shape == (3, 8, 8)
    assert masks[0, :, :4].min() == 1
    assert masks[1, :, 4:].min() == 0.5
    assert masks[2].max() == 0


def test_without_masks_there_are_none():
    assert traverse(Halves(with_masks=False), torch.zeros(3)).masks is None


def test_the_picture_has_a_row_per_latent_and_two_columns_for_masks():
    result = traverse(Halves(), torch.zeros(3), columns=5)
    with_masks = traversal_picture(result)
    without = traversal_picture(traverse(Halves(with_masks=False), torch.zeros(3), columns=5))
    assert with_masks.height == without.height
    assert with_masks.width - without.width > 2 * 64
    assert np.asarray(with_masks).dtype == np.uint8


def test_beside_a_latent_without_a_mask_none_is_drawn():
    drawn = np.asarray(traversal_picture(traverse(Halves(), torch.zeros(3), columns=5), [0, 2]))[18:, -140:]
    masked, unmasked = drawn[:64], drawn[66:130]
    assert (masked.min(2) == 0).any(1).all(), "black where the mask is zero"
    assert (unmasked[:20] == 255).all()
    assert (unmasked[-20:] == 255).all()
    assert (unmasked[20:-20] < 255).any(), "the word in the middle"


def test_pixels_are_clipped_scaled_and_grey_is_repeated():
    pixels = to_uint8(torch.tensor([-5.0, -1.0, 0.0, 1.0, 5.0]).view(1, 1, 5))
    assert pixels[0, 0].tolist() == [0, 0, 128, 255, 255]
    assert torch.equal(pixels[0], pixels[2])


def test_an_empty_mask_colours_nothing():
    colours = mask_over_image(torch.zeros(3, 4, 4), torch.zeros(4, 4)).float()
    assert (colours == colours[0]).all()
