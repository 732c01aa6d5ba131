import torch

from data_modules.shapes3d import Shapes3DDataModule
from wherewhat_pl.analysis.factors import explain_factors, factor_region, factor_table
from wherewhat_pl.model import Model


def shapes():
    data = Shapes3DDataModule(16, 4, source="rendered")
    data.setup()
    return data


def test_a_recognizer_that_sees_the_floor_explains_the_floor():
    """The mean colour of the lowest row tells the floor's hue; noise tells nothing."""

    class Reader(Model):
        device, num_latents, masked_latents, prior = torch.device("cpu"), 2, [1], "normal"

        def __init__(self):
            pass

        def encode(self, images):
            noise = images[:, 0, 0].mean(1) * 1e-3 + torch.randn(len(images))
            return torch.stack([noise, images[:, 0, -1].mean(1) + 10 * images[:, 1, -1].mean(1)], 1)

        def _draw(self, latents, with_masks):
            masks = torch.zeros(len(latents), 1, 16, 16)
            masks[:, :, 13:] = 1
            return torch.zeros(len(latents), 3, 16, 16), [masks]

    rows = {row.factor: row for row in explain_factors(Reader(), shapes(), images=1024)}
    assert rows["floor_hue"].latent == 1
    assert rows["floor_hue"].information > 0.6
    assert rows["floor_hue"].mask_on_factor > 0.9 > 0.5 > rows["floor_hue"].factor_area
    assert rows["shape"].information < 0.1
    assert rows["wall_hue"].information < 0.1
    assert "floor_hue" in factor_table(list(rows.values()))


def test_factors_act_where_one_sees_them_act():
    data = shapes()
    floor, wall, hue = (factor_region(data, position, scenes=16) for position in range(3))
    assert floor[-1].mean() > 0.9
    assert floor[:4].max() == 0
    assert wall[-1].max() == 0
    assert wall[6, 0] > 0.9
    assert hue[-1].max() < 0.2
    assert hue[9, 8] > 0.5, "the object stands in the middle"
