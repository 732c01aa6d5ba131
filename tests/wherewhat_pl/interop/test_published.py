"""The published networks' numbers, reproduced from their variables (tests/oracle/README.md)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from wherewhat_pl import losses
from wherewhat_pl.interop.published import critic_names, generator_names, networks_from_variables
from wherewhat_pl.networks.feature_maps import FeatureMaps
from wherewhat_pl.networks.generator import Generator
from wherewhat_pl.networks.masks import SpatialConstriction

ORACLE = Path(__file__).parents[2] / "oracle"


@pytest.fixture(scope="module", params=["a", "b", "c"])
def case(request):
    with np.load(ORACLE / f"networks_{request.param}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    weights = {key: value for key, value in arrays.items() if key.startswith("weight/")}
    tensors = {key: torch.from_numpy(arrays[key]) for key in arrays if key.startswith(("in/", "out/"))}
    return networks_from_variables(str(arrays["config"]), weights), tensors, arrays


def assert_close(ours, published):
    assert ours.shape == published.shape
    assert (ours - published).abs().max() <= 1e-5 * published.abs().max()


def test_images_masks_scores_and_codes(case):
    (generator, discriminator, recognizer), data, _ = case
    with torch.no_grad():
        images, masks = generator(data["in/z"], return_masks=True)
        perturbed = generator(data["in/z_perturbed"])
        codes = recognizer(torch.cat([images, perturbed]))
        assert_close(images, data["out/images"])
        assert_close(perturbed, data["out/images_perturbed"])
        assert len(masks) == sum(key.startswith("out/masks") for key in data)
        for k, mask in enumerate(masks):
            assert_close(mask, data[f"out/masks_{k}"])
        assert_close(discriminator(images), data["out/score_fake"])
        assert_close(discriminator(data["in/real"]), data["out/score_real"])
        assert_close(codes, torch.cat([data["out/code_1"], data["out/code_2"]]))


def test_losses(case):
    (_, discriminator, _), data, _ = case
    dimensions = data["in/perturbed_onehot"].argmax(1)
    ps = losses.perceptual_simplicity(
        data["in/z"], data["in/z_perturbed"], data["out/code_1"], data["out/code_2"], dimensions
    )
    assert_close(ps, data["out/ps_loss"])
    assert_close(losses.generator_adversarial(data["out/score_fake"]), data["out/g_adv"].squeeze(1))
    assert_close(
        losses.discriminator_adversarial(data["out/score_fake"], data["out/score_real"]), data["out/d_adv"].squeeze(1)
    )
    assert_close(losses.r1_penalty(discriminator, data["in/real"]).detach(), data["out/r1"])


def test_gradient_norms(case):
    (generator, discriminator, recognizer), data, arrays = case
    images, perturbed = generator(data["in/z"]), generator(data["in/z_perturbed"])
    codes, perturbed_codes = recognizer(torch.cat([images, perturbed])).chunk(2)
    dimensions = data["in/perturbed_onehot"].argmax(1)
    ps = losses.perceptual_simplicity(data["in/z"], data["in/z_perturbed"], codes, perturbed_codes, dimensions)
    loss = losses.generator_adversarial(discriminator(images)).mean() + 0.01 * ps.mean()
    parameters = {**dict(generator.named_parameters()), **dict(recognizer.named_parameters(prefix="Q"))}
    gradients = dict(zip(parameters.values(), torch.autograd.grad(loss, list(parameters.values())), strict=True))
    by_storage = {p.untyped_storage().data_ptr(): (p, g) for p, g in gradients.items()}
    published = dict(zip(arrays["grad_names"].tolist(), arrays["grad_norms"].tolist(), strict=True))
    errors = []
    for name, tensor in [*generator_names(generator), *critic_names(recognizer, "I")]:
        if "G/noise" in name:
            continue  # a fixed map, not a parameter
        _, gradient = by_storage[tensor.untyped_storage().data_ptr()]
        if tensor.shape != gradient.shape:  # one latent's row of a stacked style layer
            row = int(name.split("style_mod-")[1].split("/")[0])
            gradient = gradient[row]
        ours, expected = gradient.norm().item(), published.pop(f"{name}:0")
        assert abs(ours - expected) <= max(5e-3 * expected, 1e-6), name
        errors.append(abs(ours - expected) / max(expected, 1e-12))
    assert not published
    assert np.median(errors) < 1e-4


def test_a_missing_variable_is_named(case):
    _, _, arrays = case
    config = json.loads(str(arrays["config"]))
    weights = {key: value for key, value in arrays.items() if key.startswith("weight/") and "ToRGB/bias" not in key}
    with pytest.raises(ValueError, match="G/ToRGB/bias is missing"):
        networks_from_variables(config, weights)


def test_the_feature_maps_of_d_and_q_may_differ(case):
    """A wider Q is built as it is said; only its variables then have other shapes."""
    _, _, arrays = case
    config = json.loads(str(arrays["config"]))
    shared = config.pop("DI")
    weights = {key: value for key, value in arrays.items() if key.startswith("weight/")}
    networks_from_variables(config | {"D": shared, "I": shared}, weights)
    wider = {key: 2 * value if key != "fmap_decay" else value for key, value in shared.items()}
    with pytest.raises(ValueError, match=r"^published variable I/.*: shape"):
        networks_from_variables(config | {"D": shared, "I": wider}, weights)


def test_masks_that_were_never_published_have_no_published_names():
    class Unpublished(SpatialConstriction):
        pass

    generator = Generator(["Const-4", "C_spgroup-1-1"], 3, FeatureMaps(4, 0, 4, 4), 6)
    generator.blocks[0] = Unpublished(4, 1)
    Unpublished.module = "C_mine"
    with pytest.raises(ValueError, match="C_mine: was never published"):
        list(generator_names(generator))
