"""What a training went on in spite of: counted, logged, and limited."""

from typing import Sequence

from mmengine.runner import Runner

from mmdavpt.checkpoints import last_checkpoint
from mmdavpt.engine.ranks.agreement import gather_new
from mmdavpt.errors import UsageError

#: Where the message hub, and so each checkpoint, keeps the counts.
SKIPPED, SKIPPED_IN_A_ROW = 'skipped_steps', 'skipped_steps_in_a_row'
BROKEN = 'broken_files'


def stopping(problem: str, runner: Runner) -> UsageError:
    """Return the error of a training that cannot go on.

    Args:
        problem (str): What is wrong.
        runner (Runner): The runner.

    Returns:
        UsageError: With the last whole checkpoint named.
    """
    try:
        last, _ = last_checkpoint(runner.work_dir)
    except UsageError:
        last = None  # there are some, and none is whole
    mend = 'check the images for NaN, or lower the learning rate, and '
    return UsageError(
        f'{problem}; {mend}'
        + (
            f'go on from {last} with --resume'
            if last is not None
            else f'start again: {runner.work_dir} has no whole checkpoint'
        )
    )


def record_skipped_step(
    runner: Runner, what: str, by_another: bool, most: int
) -> None:
    """Count an iteration whose optimizer step was left out.

    Args:
        runner (Runner): The runner.
        what (str): The loss, the iteration and the images.
        by_another (bool): Whether the loss of this process was finite, and
            that of another was not.
        most (int): How many may follow one another.

    Raises:
        UsageError: If more do.
    """
    hub = runner.message_hub
    counts = {
        key: (hub.get_info(key) if key in hub.runtime_info else 0) + 1
        for key in (SKIPPED, SKIPPED_IN_A_ROW)
    }
    for key, count in counts.items():
        hub.update_info(key, count)
    in_a_row = counts[SKIPPED_IN_A_ROW]
    if not by_another:
        # As an error, since only those are shown by every process.
        runner.logger.error(
            f'the loss should be finite, but {what}; the optimizer step is '
            f'left out ({in_a_row} in a row, {counts[SKIPPED]} in all)'
        )
    if in_a_row > most:
        whose = 'of another process ' if by_another else ''
        raise stopping(
            f'the loss {whose}should be finite, but was not in {in_a_row} '
            f'iterations in a row, more than max_skipped_steps={most}; '
            f'here it {what}',
            runner,
        )


def record_broken_files(
    runner: Runner, found: Sequence[str], most: int
) -> None:
    """Count broken files that samples of a batch were replaced for.

    All processes count together and call it together, so that a file counts
    once, whichever of them meets it, and each checkpoint knows all of them.

    Args:
        runner (Runner): The runner.
        found (Sequence[str]): Files and what is wrong with them, of this
            process.
        most (int): How many different files there may be.

    Raises:
        UsageError: On all processes, if there are more.
    """
    hub = runner.message_hub
    known = list(hub.get_info(BROKEN)) if BROKEN in hub.runtime_info else []
    for file in gather_new([file for file in found if file not in known]):
        known.append(file)
        hub.update_info(BROKEN, known)
        if len(known) > most:
            raise UsageError(
                f'{file}, and so are {most} other files of the training set, '
                'as many as max_broken_files allows: '
                f'{"; ".join(known[:-1][:5])}; copy them again, or leave them '
                'out'
            )
        runner.logger.warning(
            f'{file}; its sample is replaced by another wherever it comes up '
            f'({len(known)} of at most {most} such files)'
        )
