import pytest
import torch

from tests.conftest import mostly_slow
from wherewhat_pl.config import load_config, saved_config, to_yaml
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.launch.dry_run import describe
from wherewhat_pl.networks.generator import Generator
from wherewhat_pl.networks.module_lists import count_latents, mask_kinds, module_list, published_modules, spread

LEVEL = ["ResConv-up-1", "C_spgroup-4-5", "ResConv-id-1", "Noise-2"]


def test_25_latents_at_128_px_are_the_published_celeba_list():
    config = load_config("celeba")
    assert config.model.generator.modules == ["Const-512", *LEVEL * 5, "ResConv-id-2"]
    published = config.model, config.trainer
    assert (published[0].ps.weight, published[0].ps.epsilon, published[0].ps.random_epsilon) == (0.01, 3, True)
    assert (published[0].r1.gamma, published[0].generator.feature_map_scale, published[1].batch_size) == (100, 6, 8)
    assert (published[0].generator.feature_maps.base, published[0].critic.feature_maps.base) == (1024, 2048)
    assert config.data.mirror


def test_10_latents_at_64_px_are_the_list_of_the_shapes3d_experiment():
    assert published_modules(64, 10) == load_config("shapes3d").model.generator.modules


@pytest.mark.parametrize("total", [1, 3, 10, 25, 36])
@pytest.mark.parametrize("levels", [1, 2, 5, 7])
def test_latents_are_spread_as_evenly_as_they_can_be(total, levels):
    parts = spread(total, levels)
    assert (len(parts), sum(parts)) == (levels, total)
    assert max(parts) - min(parts) <= 1


@pytest.mark.parametrize("resolution", mostly_slow([8, 64, 16, 32, 128, 256, 512, 1024]))
@pytest.mark.parametrize("latents", [1, 25, 36])
def test_the_list_draws_any_resolution_with_any_number_of_latents(resolution, latents):
    modules = published_modules(resolution, latents)
    with torch.device("meta"):
        generator = Generator(modules, 3, load_config("celeba").model.generator.feature_maps, 6)
    assert (generator.resolution, generator.num_latents) == (resolution, latents)


@pytest.mark.parametrize(("experiment", "latents"), [("ffhq", 36), ("ffhq_256", 30), ("ffhq_128", 25)])
def test_ffhq_has_its_latents_at_each_size(experiment, latents):
    assert count_latents(load_config(experiment).model.generator.modules) == latents


@pytest.mark.parametrize("resolution", mostly_slow([16, 64, 256], fast=1))
def test_ones_own_images_train_at_any_size(resolution):
    config = load_config("images", [f"data.resolution={resolution}", "data.source=generated"])
    assert f"3 x {resolution} x {resolution}" in describe(config)


def test_the_list_that_was_made_is_saved_and_reads_back_the_same(tmp_path):
    config = load_config("images", ["data.resolution=32", "model.generator.latents=7"])
    (tmp_path / "saved.yaml").write_text(to_yaml(config))
    assert "C_spgroup-4-3" in to_yaml(config)
    assert saved_config(tmp_path / "saved.yaml") == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.generator.latents=0"], "model.generator.latents=0: must be a whole number from 1 to"),
        (
            ["model.generator.modules=[Const-4,C_spgroup-1-2]"],
            "latents=25: model.generator.modules has 2; set latents=",
        ),
        (
            ["model.generator.latents=null"],
            "model.generator.modules: is empty; list the modules, or set model.generator",
        ),
    ],
)
def test_a_list_and_a_number_that_disagree_are_one_line(settings, message):
    with pytest.raises(ConfigError) as error:
        load_config("celeba", settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_switch_rewrites_the_modules_of_rectangles_only():
    modules = ["Const-4", "C_spgroup-2-3", "C_global-1", "C_spgroup_sm-2"]
    assert module_list(modules, "rectangles") == modules
    assert module_list(modules, "softmax") == ["Const-4", "C_spgroup_sm-3", "C_global-1", "C_spgroup_sm-2"]
    assert module_list(modules, "none") == ["Const-4", "C_global-3", "C_global-1", "C_spgroup_sm-2"]
    assert {"rectangles", "softmax", "none"} <= set(mask_kinds())


def test_an_unknown_kind_of_masks_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"^'rectangels' is no kind of masks; did you mean 'rectangles'\?$"):
        module_list(["Const-4"], "rectangels")
