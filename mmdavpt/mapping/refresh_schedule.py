"""Schedule of re-clustering during training."""

import math

from mmdavpt.errors import UsageError, check_count


class RefreshSchedule:
    """The epochs after which classes are re-clustered.

    These are ``begin``, ``begin + interval``, ``begin + 2 * interval``, ...
    Every re-clustering uses the samples of the epochs since the last one, at
    most ``interval`` of them. The schedule has no state, so a resumed run
    follows it exactly.

    Args:
        interval (int, optional): Epochs between two re-clusterings; None for
            never. Defaults to 1.
        begin (int, optional): First epoch, counted from 1, after which
            classes are re-clustered; 0 for never, as ``dynamic_kmeans`` of
            the released code. Defaults to None, ``interval``.

    Raises:
        UsageError: If a value is invalid, or if the two contradict each
            other.

    Attributes:
        first (int | float): First epoch after which classes are re-clustered;
            infinite for never.
    """

    def __init__(
        self, interval: int | None = 1, begin: int | None = None
    ) -> None:
        check_count('PromptMappingHook: `interval`', interval, 1)
        check_count('PromptMappingHook: `begin`', begin, 0)
        if interval is None and begin:
            raise UsageError(
                'PromptMappingHook: interval=None never re-clusters, which '
                f'contradicts begin={begin}; set `interval` or remove `begin`'
            )
        self.interval = interval or 0  # unused if there is no first one
        self.first = (interval if begin is None else begin) or math.inf

    def is_due(self, done: int, epoch: int = 1) -> bool:
        """Return whether classes are to be re-clustered now.

        Args:
            done (int): Epochs or iterations done, including this one.
            epoch (int): How many of them an epoch has. Defaults to 1.
        """
        since = done - self.first * epoch
        return since >= 0 and since % (self.interval * epoch) == 0

    def collects(self, done: int, epoch: int = 1) -> bool:
        """Return whether a re-clustering will use the samples from now on.

        Args:
            done (int): Epochs or iterations done, without this one.
            epoch (int): How many of them an epoch has. Defaults to 1.
        """
        return done >= (self.first - self.interval) * epoch

    def is_missed(self, total: int, epoch: int = 1) -> bool:
        """Return whether the first re-clustering is after the end of a run.

        Args:
            total (int): Epochs or iterations of the run.
            epoch (int): How many of them an epoch has. Defaults to 1.
        """
        return total < self.first * epoch < math.inf
