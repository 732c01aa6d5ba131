"""The LightningModule: one step of the game between G, D and Q, its optimizers, EMA and gradient sync.

This is the only file that knows the whole game. It keeps one clock, ``images_seen`` (real images over all ranks);
intervals, averages and random numbers are functions of it, so a resumed run repeats the uninterrupted one.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from data_modules.base import DeviceDataModule
from data_modules.randomness import seed_for
from data_modules.registry import data_module
from wherewhat_pl import losses
from wherewhat_pl.augment import INTERVAL as AUGMENT_INTERVAL
from wherewhat_pl.augment import AdaptiveAugment
from wherewhat_pl.config import to_dict
from wherewhat_pl.distributed import (
    GradientAverage,
    are_equal,
    count_processes,
    gather_over_processes,
    sum_over_processes,
)
from wherewhat_pl.errors import ConfigError, NonFiniteError
from wherewhat_pl.instance_noise import add_smooth_noise
from wherewhat_pl.model import Model, build_generator, build_recognizer
from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.latents import faded_in, sample_prior
from wherewhat_pl.recorded import Recordings
from wherewhat_pl.settings import ExperimentConfig

RANDOM_EPSILON_STD = 2.0  #: random epsilon is epsilon * N(0, 2^2)
STEPS_AT_A_PLACE = 2  #: of the isometry term, each along another latent

ADVERSARIAL = ("generator_adversarial", "discriminator_adversarial")
TERMS = (*ADVERSARIAL, "recognition", "isometry", "r1", "real_score", "fake_score")


class DisentanglingGAN(pl.LightningModule):
    """Generator, discriminator and recognizer with the adversarial, spatial-mask and variation-recognizer losses.

    It ends its training at ``trainer.max_kimg`` and logs its losses every ``logger.interval_kimg``, under any trainer.

    Args:
        config: the experiment.
        channels: of the images, 1 or 3; None: those of ``data.name``.

    Attributes:
        generator, discriminator, recognizer: the networks; there is no recognizer with ``model.loss=gan``.
        generator_ema, recognizer_ema: their averages (Q's only if asked for); what pictures and metrics use.
        augment: what D's images pass through on their way, or None.
        images_seen: the clock.
        latest: the newest row of losses and speed, by name.
        num_latents: n.

    Raises:
        ValueError: the module list does not end at ``data.resolution``.
    """

    _sums: Tensor

    def __init__(self, config: ExperimentConfig, channels: int | None = None) -> None:
        super().__init__()
        channels = channels or data_module(config.data.name).channels
        self.config, self.channels = config, channels
        self.automatic_optimization = False
        model, resolution = config.model, config.data.resolution
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(config.seed, "weights"))
            self.generator = build_generator(model, channels)
            if self.generator.resolution != resolution:
                raise ValueError(
                    f"data.resolution={resolution}: model.generator.modules draws {self.generator.resolution} px; "
                    "change one of them, or set modules=[] and model.generator.latents to have a list made"
                )
            self.num_latents = self.generator.num_latents
            self.discriminator = Critic(resolution, channels, 1, model.critic.feature_maps)
            self.recognizer = build_recognizer(model, resolution, channels, self.num_latents)
        augment = model.augment
        self.augment = AdaptiveAugment(augment.target, augment.speed_kimg) if augment.enabled else None
        self.generator_ema = _frozen_copy(self.generator)
        self.recognizer_ema = _frozen_copy(self.recognizer) if self.recognizer and model.ema.recognizer else None
        if config.trainer.channels_last:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.images_seen = 0
        self._averages: dict[int, GradientAverage] = {}
        self._recordings = Recordings()
        self._fakes: list[Tensor] = []  # of the last G phase, in its parts, if D learns from them
        self.latest: dict[str, float] = {}
        self._since = (0.0, 0)  # time and clock of the newest row
        # Per term, then batches and batches with R1; added up on the device, so that no step waits for the host.
        self.register_buffer("_sums", torch.zeros(len(TERMS) + 2), persistent=False)

    def compile_networks(self, backend: str = "inductor") -> None:
        """Compile the plain passes; R1 calls ``forward`` itself, since compiled code has no double backward."""
        torch._dynamo.config.optimize_ddp = False
        for network in filter(None, (self.generator, self.discriminator, self.recognizer)):
            network.compile(backend=backend)

    # ---------------------------------------------------------------- latents

    def sample_latents(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """``[count, n]`` from the prior, on the module's device (or on the generator's, then moved).

        While latents are being faded in, of a part of its spread: nothing of those that are still to come.
        """
        latents = sample_prior(self.config.model.prior, count, self.num_latents, generator, self.device)
        return latents if self._shares is None else latents * self._spread

    def sample_perturbation(self, count: int) -> tuple[Tensor, Tensor]:
        """Perturbed dimensions ``[count]`` int64, of those that are there, and each one's epsilon, ``[count]``."""
        ps, there = self.config.model.ps, self._latents_there
        if ps.cascade_kimg is None:
            dimensions = torch.randint(there.start, there.stop, (count,), device=self.device)
        else:
            turn = int(self.images_seen / (ps.cascade_kimg * 1000)) % (there.stop - there.start)
            dimensions = torch.full((count,), there.start + turn, device=self.device)
        if ps.random_epsilon:
            epsilon = ps.epsilon * RANDOM_EPSILON_STD * torch.randn(count, device=self.device)
        else:
            epsilon = torch.full((count,), float(ps.epsilon), device=self.device)
        return dimensions, epsilon if self._shares is None else epsilon * self._spread[dimensions]

    def sample_directions(self, count: int) -> Tensor:
        """Latents to step along from each place, ``[count, m]`` int64: different ones, of those that are there."""
        there = self._latents_there
        shuffled = torch.rand(count, there.stop - there.start, device=self.device).argsort(1)
        return there.start + shuffled[:, :STEPS_AT_A_PLACE]

    # ---------------------------------------------------------------- one step

    def training_step(self, reals: Tensor, batch_idx: int) -> None:
        """One :meth:`step`, with DDP's own reducer kept quiet: it expects every parameter in every backward."""
        # G's optimizer as Lightning wraps it, D's bare: so ``global_step`` counts batches, not both.
        wrapped: Any = self.optimizers()
        bare: Any = self.optimizers(use_pl_optimizer=False)
        strategy = self.trainer.strategy
        with strategy.block_backward_sync() if hasattr(strategy, "block_backward_sync") else nullcontext():
            self.step(reals, wrapped[0], bare[1])
        # Before any callback saves or draws what is not finite, and so that no kill parts a row from its checkpoint.
        if self.is_due(self.config.logger.interval_kimg):
            self.log_losses()
        elif self.images_seen >= self.max_images:  # a row that a longer training does not have
            self.log_losses(keep_sums=True)

    def step(self, reals: Tensor, generator_optimizer: Any, discriminator_optimizer: Any) -> None:
        """G and Q against D, then D against G, then the averages and the clock; needs no trainer.

        Args:
            reals: ``[b, C, H, W]`` in [-1, 1], this process' part of the batch.
            generator_optimizer, discriminator_optimizer: as :meth:`configure_optimizers` makes them.
        """
        torch.manual_seed(seed_for(self.config.seed, "step", self.global_rank, self.images_seen))
        if self.config.model.optimizer.falling > 0:
            for optimizer in (generator_optimizer, discriminator_optimizer):
                optimizer.param_groups[0]["lr"] = optimizer.defaults["lr"] * self._rate
        if self.config.trainer.channels_last:
            reals = reals.contiguous(memory_format=torch.channels_last)

        adversarial, recognition, isometry = self._gradients(generator_optimizer, self.generator_phase, reals)
        self._move(generator_optimizer)
        score_loss, r1, real_scores, fake_scores = self._gradients(
            discriminator_optimizer, self.discriminator_phase, reals
        )
        self._move(discriminator_optimizer)
        self._update_averages()
        batches = self.images_seen // self.config.trainer.batch_size + 1
        if self.augment is not None and batches % AUGMENT_INTERVAL == 0:
            self.augment.adjust(self.config.trainer.batch_size)

        has_r1 = torch.full_like(r1, float(self._is_r1_step))
        self._sums += torch.stack(
            [adversarial, score_loss, recognition, isometry, r1, real_scores, fake_scores, torch.ones_like(r1), has_r1]
        )
        self.images_seen += self.config.trainer.batch_size

    def generator_phase(self, reals: Tensor) -> Tensor:
        """Gradients of G and Q from as many fakes as there are ``reals``; returns their three losses ``[3]``."""
        parts, terms = self.config.trainer.accumulate, []
        self._fakes.clear()
        with frozen(self.discriminator):
            for drawn in zip(*(split_groups(drawn, parts) for drawn in self.draw(len(reals))), strict=True):
                adversarial, recognition, isometry = self.generator_losses(*drawn)
                loss = adversarial + self._recognition_weight * recognition
                self._backward(loss + self._isometry_weight * isometry)
                terms.append(torch.stack([adversarial, recognition, isometry]).detach())
        return mean_of(terms)

    def discriminator_phase(self, reals: Tensor) -> Tensor:
        """Gradients of D from as many fakes; returns ``[4]``: its loss, R1, and its scores of reals and fakes."""
        parts, terms = split_groups(reals, self.config.trainer.accumulate), []
        for some_reals, fakes in zip(parts, self.fakes_for_discriminator(len(reals)), strict=True):
            score_loss, r1, real_scores, fake_scores = self.discriminator_losses(some_reals, fakes)
            self._backward(score_loss + r1 * (self._gamma / 2 * self.config.model.r1.interval))
            terms.append(torch.stack([score_loss, r1, real_scores, fake_scores]).detach())
        return mean_of(terms)

    def fakes_for_discriminator(self, count: int) -> Iterator[Tensor]:
        """``count`` images in the batch's parts: new ones, or (``model.reuse_fakes``) those of G's phase before."""
        if self.config.model.reuse_fakes:
            yield from self._fakes
            return
        for latents in split_groups(self.sample_latents(count), self.config.trainer.accumulate):
            with torch.no_grad():
                fakes = self.generator(latents)
            yield fakes

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What a G phase draws for ``count`` images.

        Returns:
            Latents ``[count, n]``; perturbed dimensions and their epsilon, ``[pairs]``, where a share
            ``model.ps.pairs`` of the images is perturbed, empty for other losses; directions ``[count, m]``, empty
            without isometry.
        """
        latents, model = self.sample_latents(count), self.config.model
        dimensions, epsilon = latents.new_empty(0, dtype=torch.int64), latents.new_empty(0)
        if model.loss == "ps":
            dimensions, epsilon = self.sample_perturbation(math.ceil(model.ps.pairs * count))
        directions = dimensions.new_empty(0) if model.isometry.weight == 0 else self.sample_directions(count)
        return latents, dimensions, epsilon, directions

    def generator_losses(
        self, latents: Tensor, dimensions: Tensor, epsilon: Tensor, directions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Means over the batch of G's adversarial, the recognition (PS or InfoGAN, lambda 1) and the isometry loss.

        Args:
            latents, dimensions, epsilon, directions: as :meth:`draw` gives them.
        """
        there, pairs = self._latents_there, len(dimensions)
        perturbed, stepped = losses.perturb(latents[:pairs], dimensions, epsilon), self._steps(latents, directions)
        parts = [len(latents), pairs, len(stepped)]
        images, perturbed_images, stepped_images = self.generator(torch.cat([latents, perturbed, stepped])).split(parts)
        if self.config.model.reuse_fakes:
            self._fakes.append(images.detach())
        isometry = images.new_zeros(())
        if len(stepped):
            places = len(stepped) // directions.shape[1]
            stepped_images = stepped_images.unflatten(0, (places, -1))
            share = self._isometry_weight / self.config.model.isometry.weight
            isometry = losses.isometry(images[:places], stepped_images, directions[:places], share)
        if self.config.model.loss == "ps":
            codes, perturbed_codes = self._recognize(torch.cat([images[:pairs], perturbed_images])).chunk(2)
            recognition = losses.perceptual_simplicity(
                latents[:pairs, there], perturbed[:, there], codes, perturbed_codes, dimensions - there.start
            ).mean()
        elif self.config.model.loss == "infogan":
            codes = self._recognize(images)
            recognition = losses.infogan(latents[:, there], codes, self.config.model.infogan.norm).mean()
        else:
            recognition = images.new_zeros(())
        scores = self.discriminator(self._shown_to_d(images))  # the adversarial term uses G(z) only
        return losses.generator_adversarial(scores).mean(), recognition, isometry

    def _steps(self, latents: Tensor, directions: Tensor) -> Tensor:
        """Latents after a step along each direction of each place, ``[places * m, n]``; of the batch's first places,
        so many that there are no more steps than images."""
        if not len(directions):
            return latents[:0]
        directions = directions[: max(1, len(latents) // directions.shape[1])]
        places, along = latents[: len(directions)].repeat_interleave(directions.shape[1], 0), directions.flatten()
        sizes = -self.config.model.isometry.step * places.gather(1, along[:, None]).squeeze(1).sign()
        return losses.perturb(places, along, sizes if self._shares is None else sizes * self._spread[along])

    def discriminator_losses(self, reals: Tensor, fakes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means of D's adversarial loss, the squared gradient norm (0 between lazy steps) and D's two scores."""
        fake_scores, real_scores = self._scores(fakes, reals)
        if self.augment is not None:
            self.augment.observe(real_scores)
        loss = losses.discriminator_adversarial(fake_scores, real_scores).mean()
        r1 = loss.new_zeros(())
        if self._is_r1_step:
            r1 = losses.r1_penalty(lambda images: self.discriminator.forward(self._shown_to_d(images)), reals).mean()
        return loss, r1, real_scores.mean(), fake_scores.mean()

    def _scores(self, fakes: Tensor, reals: Tensor) -> tuple[Tensor, Tensor]:
        """D's scores of both, in one pass; its minibatch statistics see fakes or reals, never a mixture."""
        images = torch.cat([self._shown_to_d(fakes), self._shown_to_d(reals)])
        fake_scores, real_scores = self.discriminator(images, batches=2).chunk(2)
        return fake_scores, real_scores

    def _shown_to_d(self, images: Tensor) -> Tensor:
        """The images as D sees them: augmented, and under smooth noise, where an experiment says so."""
        if self.augment is not None:
            images = self.augment(images)
        std = self.config.model.instance_noise
        return add_smooth_noise(images, std) if std > 0 else images

    def _recognize(self, images: Tensor) -> Tensor:
        """Codes of the latents that are there: of others Q would learn to give 0, whatever it sees, and go on so.

        With noise on its images Q has to read what one sees: G cannot tell it a latent by what is too faint for that.
        """
        assert self.recognizer is not None
        std = self.config.model.recognizer.noise
        if std > 0:
            images = images + std * torch.randn_like(images)
        return self.recognizer(images)[:, self._latents_there]  # type: ignore[no-any-return]

    @property
    def _shares(self) -> list[float] | None:
        """What :func:`faded_in` says of each module's latents now; None once (or where) all are there."""
        model, groups = self.config.model, len(self.generator.latents_of_modules)
        if model.progressive_kimg is None or self.images_seen >= 1000 * model.progressive_kimg * groups:
            return None
        shares = faded_in(groups, self.images_seen / (1000 * model.progressive_kimg))
        return shares if model.progressive_first == "coarse" else shares[::-1]

    @property
    def _spread(self) -> Tensor:
        """The shares by latent, ``[n]``; filled in place, for a list that is sent to a GPU makes the host wait."""
        parts = zip(self.generator.latents_of_modules, self._shares or (), strict=True)
        return torch.cat([torch.full((count,), share, device=self.device) for count, share in parts])

    @property
    def _latents_there(self) -> slice:
        """Those with a share of their spread: the first ones, or the last."""
        if self._shares is None:
            return slice(0, self.num_latents)
        groups = zip(self.generator.latents_of_modules, self._shares, strict=True)
        there = sum(count for count, share in groups if share > 0)
        coarse = self.config.model.progressive_first == "coarse"
        return slice(0, there) if coarse else slice(self.num_latents - there, self.num_latents)

    @property
    def _recognition_weight(self) -> float:
        model = self.config.model
        return {"ps": model.ps.weight, "infogan": model.infogan.weight, "gan": 0.0}[model.loss]

    @property
    def _rate(self) -> float:
        """What all learning rates are multiplied by: 1, and falling to 0 in the last share of the training."""
        left = 1 - self.images_seen / (self.config.trainer.max_kimg * 1000)
        return min(1.0, max(left, 0.0) / self.config.model.optimizer.falling)

    @property
    def _gamma(self) -> float:
        """The weight of R1, less when G is close and small steps are taken (as in R3GAN, Huang et al. 2024)."""
        return self._fallen(self.config.model.r1.gamma, self.config.model.r1.final_gamma)

    @property
    def _isometry_weight(self) -> float:
        """Less when latents lie straight; so is the share of mean edges, when no image is faint any more."""
        return self._fallen(self.config.model.isometry.weight, self.config.model.isometry.final_weight)

    def _fallen(self, weight: float, final: float | None) -> float:
        """A weight that falls to ``final``, geometrically, while the rates fall to 0."""
        return weight if final is None else weight * (final / weight) ** (1 - self._rate)

    @property
    def _is_r1_step(self) -> bool:
        r1, batches = self.config.model.r1, self.images_seen // self.config.trainer.batch_size
        return r1.gamma > 0 and batches % r1.interval == 0

    # ---------------------------------------------------------------- optimization

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam for G and Q, one for D whose rate and betas account for the lazy R1 (Karras et al. 2020)."""
        settings, r1 = self.config.model.optimizer, self.config.model.r1
        players = [*self.generator.parameters(), *(self.recognizer.parameters() if self.recognizer else ())]
        opponents, r1_interval = list(self.discriminator.parameters()), r1.interval if r1.gamma > 0 else None
        return [
            self._adam(players, settings.generator_interval),
            self._adam(opponents, r1_interval, settings.critic_ratio),
        ]

    def _adam(self, parameters: list[nn.Parameter], lazy_interval: int | None, factor: float = 1.0) -> torch.optim.Adam:
        settings = self.config.model.optimizer
        ratio = lazy_interval / (lazy_interval + 1) if lazy_interval else 1.0
        return torch.optim.Adam(
            parameters,
            lr=settings.learning_rate * factor * ratio,
            betas=(float(settings.beta1) ** ratio, float(settings.beta2) ** ratio),
            eps=settings.eps,
            fused=True,
        )

    def _gradients(self, optimizer: Any, phase: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """What a phase returns, its gradients in place; recorded at its first call and then replayed, where it can be.

        A phase of D without R1 is another one than with it.
        """
        optimizer.zero_grad()
        if not self._is_recorded:
            return phase(*inputs)
        name = f"{phase.__name__}{' with R1' if phase == self.discriminator_phase and self._is_r1_step else ''}"
        return self._recordings.run(name, phase, optimizer.param_groups[0]["params"], *inputs)

    @property
    def _is_recorded(self) -> bool:
        """Whether all steps do the same work, and one GPU does it by itself."""
        model, trainer = self.config.model, self.config.trainer
        falling = model.r1.final_gamma is not None or model.isometry.final_weight is not None
        cascading = model.loss == "ps" and model.ps.cascade_kimg
        same = self.augment is None and self._shares is None and not (falling or cascading or model.reuse_fakes)
        return trainer.cuda_graphs and self.device.type == "cuda" and same and count_processes() == 1

    def _backward(self, loss: Tensor) -> None:
        (loss / self.config.trainer.accumulate if self.config.trainer.accumulate > 1 else loss).backward()

    def _move(self, optimizer: Any) -> None:
        average = self._averages.get(id(optimizer))
        if average is None:
            average = GradientAverage(p for group in optimizer.param_groups for p in group["params"])
            self._averages[id(optimizer)] = average
        average()
        optimizer.step()
        torch.clear_autocast_cache()  # of weights that were rounded before they moved

    @torch.no_grad()
    def _update_averages(self) -> None:
        halflife = self.config.model.ema.halflife_kimg * 1000
        weight = 1 - 0.5 ** (self.config.trainer.batch_size / halflife)
        for average, network in ((self.generator_ema, self.generator), (self.recognizer_ema, self.recognizer)):
            if average is not None and network is not None:
                torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), weight)

    # ---------------------------------------------------------------- the clock and the trainer

    def is_due(self, interval_kimg: float, images_seen: int | None = None) -> bool:
        """Whether the last batch, or that up to ``images_seen``, reached or passed a multiple of the interval."""
        seen, interval = self.images_seen if images_seen is None else images_seen, interval_kimg * 1000
        return int(seen / interval) > int((seen - self.config.trainer.batch_size) / interval)

    @property
    def max_images(self) -> int:
        """Where the training ends."""
        return int(self.config.trainer.max_kimg * 1000)

    def setup(self, stage: str) -> None:
        """Give the data its clock, before it is asked for batches; raises :class:`ConfigError` if it does not fit."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, DeviceDataModule):
            return
        data.clock = lambda: self.images_seen
        for key, ours, theirs in (
            ("trainer.batch_size", self.config.trainer.batch_size, data.batch_size),
            ("data.resolution", self.config.data.resolution, data.resolution),
        ):
            if ours != theirs:
                raise ConfigError(f"{key}={ours}: the data module was built with {theirs}; give it the same")

    def on_train_start(self) -> None:
        self._since = (time.monotonic(), self.images_seen)
        self._stop_at_the_end()

    def on_train_batch_end(self, *_: object) -> None:
        self._stop_at_the_end()

    def _stop_at_the_end(self) -> None:
        """Lightning's own limits count steps or epochs, not images."""
        if self.images_seen >= self.max_images:
            self.trainer.should_stop = True

    def log_losses(self, keep_sums: bool = False) -> None:
        """Mean losses and speed since the last time, to all loggers; call on all processes together.

        Reading them is the only place where a step waits for the device. With ``keep_sums`` the next row starts where
        this one does.

        Raises:
            NonFiniteError: a loss is NaN or infinite.
        """
        means = self.read_losses(keep_sums)
        if not means:
            return
        now, (then, images_then) = time.monotonic(), self._since
        self._since = (now, self.images_seen)
        self.latest = {
            f"{'discriminator' if name.endswith(('score', 'probability')) else 'loss'}/{name}": value
            for name, value in means.items()
        }
        self.latest["images_per_s"] = (self.images_seen - images_then) / max(now - then, 1e-9)
        for logger in self.loggers:
            logger.log_metrics(self.latest, step=self.images_seen)

    # ---------------------------------------------------------------- what others read

    def model(self) -> Model:
        """The averages as a :class:`Model`; it shares their weights, so it stays up to date."""
        return Model(self.generator_ema, self.recognizer_ema or self.recognizer, self.config.model.prior)

    def read_losses(self, keep_sums: bool = False) -> dict[str, float]:
        """Mean of every loss since the last reading, over all ranks; costs one synchronization and resets the sums.

        Args:
            keep_sums: do not reset them.

        Raises:
            NonFiniteError: a mean is NaN or infinite.
        """
        *totals, batches, r1_batches = self._finite_sums()
        if not keep_sums:
            self._sums.zero_()
        if not batches:
            return {}
        means = {name: total / batches for name, total in zip(TERMS, totals, strict=True)}
        r1, recognition, isometry = means.pop("r1") * batches, means.pop("recognition"), means.pop("isometry")
        if r1_batches:
            means["r1"] = r1 / r1_batches
        if self.config.model.loss == "ps":  # both forms of the same loss: the published code's, and the paper's mean
            means |= {"ps": recognition, "ps_paper_form": recognition * 2 / self.num_latents}
        elif self.config.model.loss == "infogan":
            means["infogan"] = recognition
        if self.config.model.isometry.weight > 0:
            means["isometry"] = isometry
        if self.augment is not None:
            means["augment_probability"] = float(self.augment.probability)
        return means

    def require_equal(self) -> None:
        """Raises :class:`NonFiniteError` if the processes' weights have parted; call on all of them together."""
        if not are_equal(self.parameters()):
            raise NonFiniteError(f"the processes' weights differ at {self.images_seen:,} images")

    def require_finite(self) -> None:
        """Raises :class:`NonFiniteError` naming the loss or the network that holds a NaN or an infinity."""
        self._finite_sums()
        for name, network in self.named_children():
            finite = [parameter.isfinite().all() for parameter in network.parameters()]
            if finite and not torch.stack(finite).all():
                raise NonFiniteError(f"the weights of {name} are not finite at {self.images_seen:,} images")

    def _finite_sums(self) -> list[float]:
        values: list[float] = sum_over_processes(self._sums.clone()).tolist()  # so that all of them stop, or none
        for name, value in zip(TERMS, values[: len(TERMS)], strict=True):
            if not math.isfinite(value):
                raise NonFiniteError(f"the loss term {name} is {value} at {self.images_seen:,} images")
        return values

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["images_seen"] = self.images_seen
        checkpoint["config"] = to_dict(self.config)
        checkpoint["channels"] = self.channels
        checkpoint["loss_sums"] = gather_over_processes(self._sums).cpu()  # so that the next row is no other one

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.images_seen = int(checkpoint["images_seen"])
        sums = checkpoint.get("loss_sums")  # [processes, terms]; missing in older checkpoints
        if isinstance(sums, Tensor) and sums.shape[1:] == self._sums.shape:
            same = len(sums) == count_processes()
            self._sums.copy_(sums[self.global_rank] if same else sums.sum(0) / count_processes())


def split_groups(batch: Tensor, parts: int, group: int = 4) -> tuple[Tensor, ...]:
    """A batch in parts that keep together what shares a minibatch standard deviation.

    Sample i of B is in group ``i mod (B / group)``, in a part as in the whole, and in the pairs that PS makes of them.
    """
    if parts == 1:
        return (batch,)
    if not len(batch):
        return (batch,) * parts
    return tuple(part.flatten(0, 1) for part in batch.unflatten(0, (group, parts, -1)).unbind(1))


def mean_of(terms: list[Tensor]) -> Tensor:
    """Mean of tensors of one shape; of a single one, itself."""
    return torch.stack(terms).mean(0) if len(terms) > 1 else terms[0]


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients flow through ``network``, but its weights get none; also after an exception they train again."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _frozen_copy(network: nn.Module) -> Any:
    return copy.deepcopy(network).eval().requires_grad_(False)
