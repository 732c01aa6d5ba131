import torch

from wherewhat_pl import losses


def test_perfect_codes_leave_only_what_averaging_costs():
    """With q1 = z and q2 = z + e onehot(d) the codes agree on every other dimension, so the loss is zero."""
    latents = torch.randn(5, 4)
    dimensions = torch.randint(4, (5,))
    perturbed = losses.perturb(latents, dimensions, 3.0)
    loss = losses.perceptual_simplicity(latents, perturbed, latents, perturbed, dimensions)
    torch.testing.assert_close(loss, torch.zeros(5))


def test_unperturbed_dimensions_see_only_the_average():
    """Opposite errors on an unperturbed dimension cancel; on the perturbed one they do not."""
    latents, dimensions = torch.zeros(1, 2), torch.tensor([0])
    error = torch.tensor([[0.0, 1.0]])
    assert losses.perceptual_simplicity(latents, latents, error, -error, dimensions) == 0
    error = torch.tensor([[1.0, 0.0]])
    assert losses.perceptual_simplicity(latents, latents, error, -error, dimensions) == 1


def test_only_the_chosen_dimension_is_perturbed():
    latents, dimensions = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    epsilon = torch.randn(6)
    moved = losses.perturb(latents, dimensions, epsilon) - latents
    expected = torch.zeros(6, 3)
    expected[torch.arange(6), dimensions] = epsilon
    torch.testing.assert_close(moved, expected)


def test_adversarial_losses_at_indifference():
    scores = torch.zeros(2, 1)
    torch.testing.assert_close(losses.generator_adversarial(scores), torch.full((2,), 0.6931472))
    torch.testing.assert_close(losses.discriminator_adversarial(scores, scores), torch.full((2,), 2 * 0.6931472))


def test_infogan_is_a_p_norm():
    latents, codes = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
    assert losses.infogan(latents, codes, 2.0) == 5
    assert losses.infogan(latents, codes, 1.0) == 7
