import numpy as np
import pytest
import scipy.stats
import torch

from data_modules.base import to_float
from data_modules.registry import build_data
from wherewhat_pl.analysis.attributes import attribute_table, explain_attributes, point_biserial
from wherewhat_pl.analysis.summary import summarize
from wherewhat_pl.config import load_config
from wherewhat_pl.system import DisentanglingGAN


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """200 drawn faces in CelebA's layout, with its attributes."""
    from data_modules.photographs.generated_faces import write_generated_faces

    folder = tmp_path_factory.mktemp("faces")
    write_generated_faces(folder / "celeba", 200, layout="celeba")
    module = build_data("celeba", 16, 4, source="files", root=folder / "celeba", cache=folder / "cache")
    module.setup()
    return module


def test_correlations_are_scipys():
    codes, labels = torch.randn(300, 3), torch.rand(300, 2) < 0.3
    codes[:, 0] += labels[:, 1]
    expected = [[scipy.stats.pointbiserialr(label, code).statistic for label in labels.T] for code in codes.T]
    np.testing.assert_allclose(point_biserial(codes, labels), expected, atol=1e-6)


def test_what_is_constant_correlates_with_nothing():
    codes = torch.stack([torch.arange(10.0), torch.full((10,), 0.1)], 1)
    labels = torch.stack([torch.arange(10) > 4, torch.ones(10, dtype=torch.bool)], 1)
    table = point_biserial(codes, labels)
    assert table[0, 0] > 0.8
    assert table[1].tolist() == [0, 0]
    assert table[0, 1] == 0


def test_a_code_that_is_an_attribute_is_found(faces):
    """A recognizer that knows each image, whose second code is the attribute Eyeglasses, and whose first is noise."""
    images = to_float(faces.images(torch.arange(200)))
    column = faces.attribute_names.index("Eyeglasses")

    class Knowing:
        def encode(self, batch):
            return codes_of(batch)

    def codes_of(batch):
        which = (batch[:, None] == images).flatten(2).all(2).float().argmax(1)
        return torch.stack([torch.randn(len(batch)), -faces.attributes[which, column].float()], 1)

    rows = explain_attributes(Knowing(), faces, images=200)
    assert [row.latent for row in rows] == [0, 1]
    assert (rows[1].attribute, round(rows[1].correlation, 6)) == ("Eyeglasses", -1.0)
    assert attribute_table(rows).splitlines()[1].split()[:3] == ["1", "Eyeglasses", "-1.00"]


def small_model(*settings):
    few = ["model.generator.modules=[Const-4,ResConv-up-2,C_spgroup-2-3]", "data.resolution=16"]
    return DisentanglingGAN(load_config("celeba_quick", [*few, *settings]), 3).model()


def test_the_summary_of_a_run_on_faces_names_an_attribute_for_each_latent(faces):
    text, numbers = summarize(small_model(), faces, images=100)
    assert "100 images of celeba (generated)" in text
    assert len(numbers) == 3
    assert all(key.startswith("attribute/") and -1 <= value <= 1 for key, value in numbers.items())


def test_faces_without_attributes_and_runs_without_recognizer_are_passed_over(faces, tmp_path):
    plain = build_data("images", 16, 4, source="files", root=faces.root, cache=tmp_path)
    plain.setup()
    assert explain_attributes(small_model(), plain) is None
    assert summarize(small_model(), plain) == ("", {})
    assert summarize(small_model("model.loss=gan"), faces) == ("", {})
