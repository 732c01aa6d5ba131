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


def test_even_orthogonal_steps_cost_nothing():
    """A linear G with orthogonal columns of different lengths is what the term asks for."""
    columns = torch.linalg.qr(torch.randn(12, 3))[0] * torch.tensor([1.0, 3.0, 0.1])
    dimensions = torch.rand(8, 3).argsort(1)[:, :2]
    moves = columns.T[dimensions].view(8, 2, 3, 2, 2)
    images = torch.randn(1, 3, 2, 2).expand(8, -1, -1, -1)  # all with as many edges
    assert losses.isometry(images, images[:, None] + moves, dimensions) < 1e-10
    assert losses.isometry(images, images[:, None] + 0 * moves, dimensions) == 0
    assert losses.isometry(0 * images, 0 * moves, dimensions) == 0


def test_isometry_is_the_squared_distance_of_gram_matrices():
    images, moves = torch.randn(6, 1, 4, 4), torch.randn(6, 2, 1, 4, 4)
    dimensions = torch.tensor([[0, 1], [1, 0], [2, 1], [0, 2], [3, 1], [1, 2]])
    edges = [
        sum((i[y, x] - i[y + 1, x]) ** 2 for y in range(3) for x in range(4)) / 12
        + sum((i[y, x] - i[y, x + 1]) ** 2 for y in range(4) for x in range(3)) / 12
        for i in images[:, 0]
    ]
    scale = [edge + 0.3 * sum(edges) / 6 for edge in edges]
    lengths = torch.stack([moves[b].square().mean((1, 2, 3)) / scale[b] for b in range(6)])
    total = 0.0
    for b in range(6):
        for k in range(2):
            total += (lengths[b, k] - lengths[dimensions == dimensions[b, k]].mean()) ** 2
        total += 2 * ((moves[b, 0] * moves[b, 1]).mean() / scale[b]) ** 2
    expected = total / 6 / 2 / lengths.mean() ** 2
    torch.testing.assert_close(losses.isometry(images, images[:, None] + moves, dimensions, 0.3), expected)


def test_the_less_the_mean_edges_count_the_less_it_matters_how_large_a_shape_is():
    """Squares of three sizes, all moved by one pixel across and one up, and the same moves of images that are alike."""
    images = torch.zeros(3, 1, 20, 20)
    for image, size in zip(images, (4, 6, 8), strict=True):
        image[0, 5 : 5 + size, 5 : 5 + size] = 1
    stepped = torch.stack([images.roll(1, 3), images.roll(1, 2)], 1)
    dimensions, alike = torch.tensor([[0, 1]]).expand(3, -1), images[:1].expand(3, -1, -1, -1)
    plain = losses.isometry(alike, stepped - images[:, None] + alike[:, None], dimensions)
    assert losses.isometry(images, stepped, dimensions, 1) < 0.5 * plain
    assert losses.isometry(images, stepped, dimensions, 0.1) < 0.2 * plain


def test_a_step_that_is_longer_from_some_places_costs_more_on_a_long_latent():
    """Two latents, orthogonal, each twice as long from one of two places as from the other."""
    dimensions, images = torch.tensor([[0, 1], [0, 1]]), torch.zeros(2, 1, 2, 2)
    far = torch.zeros(2, 2, 1, 2, 2)
    far[:, 0, ..., 0], far[:, 1, ..., 1] = 1.0, 0.1
    on_long, on_short = far.clone(), far.clone()
    on_long[0, 0] *= 2
    on_short[0, 1] *= 2
    costs = [losses.isometry(images, images[:, None] + moves, dimensions) for moves in (on_long, on_short)]
    assert costs[0] > 1000 * costs[1]
