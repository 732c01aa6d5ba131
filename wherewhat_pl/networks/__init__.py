"""Generator, discriminator and recognizer, and the layers they are built from."""

from wherewhat_pl.networks.critic import Critic
from wherewhat_pl.networks.generator import Generator

__all__ = ["Critic", "Generator"]
