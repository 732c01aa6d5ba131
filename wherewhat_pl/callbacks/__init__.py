"""What happens around the steps: checkpoints, interruption, pictures, numbers, the progress bar."""

from wherewhat_pl.callbacks.checkpoint import AtomicCheckpoint
from wherewhat_pl.callbacks.interrupt import GracefulStop
from wherewhat_pl.callbacks.metrics_log import MetricsLog
from wherewhat_pl.callbacks.pictures import TraversalPictures
from wherewhat_pl.callbacks.progress import ImagesProgressBar

__all__ = ["AtomicCheckpoint", "GracefulStop", "ImagesProgressBar", "MetricsLog", "TraversalPictures"]
