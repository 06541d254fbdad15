"""When the mapping is made anew during training."""

import math
from typing import Optional, Tuple

from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmdavpt.errors import UsageError

from .first_pass import batch_size_of


class RefreshSchedule:
    """The epochs after which classes are re-clustered.

    These are ``begin``, ``begin + interval``, ``begin + 2 * interval``, ...
    Every re-clustering is of what the epochs since the last one showed, at
    most ``interval`` of them. Nothing is kept between calls, so that a run
    that resumes goes on as it would have.

    Args:
        interval (int, optional): Epochs between two re-clusterings; None for
            never. Defaults to 1.
        begin (int, optional): First epoch, counted from 1, after which
            classes are re-clustered; 0 for never, as ``dynamic_kmeans`` of
            the released code. Defaults to None, ``interval``.

    Raises:
        UsageError: If a value is none of these, or if they contradict each
            other.

    Attributes:
        first (int | None): First epoch after which classes are re-clustered.
    """

    def __init__(
        self, interval: Optional[int] = 1, begin: Optional[int] = None
    ) -> None:
        for name, value, least in (
            ('interval', interval, 1),
            ('begin', begin, 0),
        ):
            if value is not None and (
                isinstance(value, bool)
                or not isinstance(value, int)
                or value < least
            ):
                raise UsageError(
                    f'PromptMappingHook: `{name}` should be at least {least} '
                    f'epochs, or None, but got {value!r}; interval=None '
                    'keeps the first mapping'
                )
        if interval is None and begin:
            raise UsageError(
                'PromptMappingHook: interval=None never re-clusters, but '
                f'begin={begin} says to do so after epoch {begin}; set '
                '`interval`, or leave `begin` out'
            )
        if begin == 0 and interval not in (None, 1):
            raise UsageError(
                'PromptMappingHook: begin=0 never re-clusters, but '
                f'interval={interval} says to do so every {interval} epochs; '
                'leave one of them out'
            )
        self.interval = interval
        self.first = interval if begin is None else begin or None

    def is_due(self, done: int, epoch: int = 1) -> bool:
        """Tell whether classes are to be re-clustered now.

        Args:
            done (int): Epochs or iterations that are done, this one included.
            epoch (int): How many of them an epoch has. Defaults to 1.
        """
        if self.first is None:
            return False
        since = done - self.first * epoch
        return since >= 0 and since % (self.interval * epoch) == 0

    def collects(self, done: int, epoch: int = 1) -> bool:
        """Tell whether what is observed from now on will be clustered.

        Args:
            done (int): Epochs or iterations that are done, this one not
                included.
            epoch (int): How many of them an epoch has. Defaults to 1.
        """
        if self.first is None:
            return False
        return done >= (self.first - self.interval) * epoch

    def note_if_never(self, total: int, epoch: int = 1) -> Optional[str]:
        """Return a sentence if a run makes no new mapping, else None.

        Args:
            total (int): Epochs or iterations of the run.
            epoch (int): How many of them an epoch has. Defaults to 1.
        """
        if self.first is None:
            return 'the first mapping is kept for the whole training'
        if self.first * epoch > total:
            return (
                'the first mapping is kept for the whole training: it would '
                f'be refreshed after epoch {self.first} at the earliest, but '
                f'the training has {total / epoch:g}'
            )
        return None


def progress_of(
    runner: Runner, iters_per_epoch: Optional[int] = None
) -> Tuple[int, int]:
    """Return what of a training is done, and how much of it an epoch is.

    Args:
        runner (Runner): In training.
        iters_per_epoch (int, optional): What an epoch is in iteration-based
            loops. Defaults to None, ceil(images / global batch size).

    Returns:
        Tuple[int, int]: Epochs that are done, and 1; in iteration-based loops
        iterations that are done, and those of an epoch.
    """
    if isinstance(runner.train_loop, EpochBasedTrainLoop):
        return runner.epoch, 1
    if iters_per_epoch is None:
        loader = runner.train_dataloader
        images = batch_size_of(loader) * get_world_size()
        iters_per_epoch = math.ceil(len(loader.dataset) / images)
    return runner.iter, iters_per_epoch
