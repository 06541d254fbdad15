"""Count and log skipped steps and broken files, and stop at a limit."""

from collections.abc import Iterable

from mmengine.runner import Runner

from mmdavpt.checkpoints import last_checkpoint
from mmdavpt.errors import UsageError, first_few
from mmdavpt.ranks import gather_distinct

#: Keys of the counts in the message hub, which every checkpoint contains.
SKIPPED, SKIPPED_IN_A_ROW = 'skipped_steps', 'skipped_steps_in_a_row'
BROKEN = 'broken_files'


def cannot_continue(problem: str, runner: Runner) -> UsageError:
    """Return the error that ends a training, with the checkpoint to resume.

    Args:
        problem (str): The problem, as a clause.
        runner (Runner): The runner.
    """
    try:
        last, _ = last_checkpoint(runner.work_dir)
    except UsageError:
        last = None  # there are checkpoints, and all are damaged
    return UsageError(
        f'{problem}; check the images for NaN, or lower the learning rate, '
        + (
            f'and resume from {last} with --resume'
            if last is not None
            else f'and start again: {runner.work_dir} has no intact checkpoint'
        )
    )


def record_skipped_step(
    runner: Runner, what: str, by_another: bool, limit: int
) -> None:
    """Count and log an iteration whose optimizer step was skipped.

    Args:
        runner (Runner): The runner.
        what (str): The loss, the iteration and the images.
        by_another (bool): Whether the loss of this rank was finite, and that
            of another rank was not.
        limit (int): How many steps in a row may be skipped.

    Raises:
        UsageError: If there are more.
    """
    hub = runner.message_hub
    total, in_a_row = (
        hub.runtime_info.get(key, 0) + 1 for key in (SKIPPED, SKIPPED_IN_A_ROW)
    )
    hub.update_info(SKIPPED, total)
    hub.update_info(SKIPPED_IN_A_ROW, in_a_row)
    if not by_another:
        # All ranks show errors, but only rank 0 shows warnings.
        runner.logger.error(
            f'the loss should be finite, but {what}; the optimizer step is '
            f'skipped ({in_a_row} in a row, {total} in all)'
        )
    if in_a_row > limit:
        whose = 'of another process ' if by_another else ''
        raise cannot_continue(
            f'the loss {whose}should be finite, but was not in {in_a_row} '
            f'iterations in a row, more than max_skipped_steps={limit}; '
            f'here it {what}',
            runner,
        )


def record_broken_files(
    runner: Runner, found: Iterable[str], limit: int
) -> None:
    """Count and log broken files whose samples were replaced.

    All ranks call it together, so that a file counts once, whichever rank
    meets it, and each checkpoint knows all of them.

    Args:
        runner (Runner): The runner.
        found (Iterable[str]): Files with their defects, of this rank.
        limit (int): How many different files may be broken.

    Raises:
        UsageError: On all ranks, if there are more.
    """
    hub = runner.message_hub
    known = list(hub.runtime_info.get(BROKEN, []))
    for file in gather_distinct(file for file in found if file not in known):
        known.append(file)
        hub.update_info(BROKEN, known)
        if len(known) > limit:
            raise UsageError(
                'the training set has more broken files than '
                f'max_broken_files={limit}: {file}, after '
                f'{first_few(known[:-1])}; copy them again, or remove them '
                'from the dataset'
            )
        runner.logger.warning(
            f'{file}; its sample is replaced by another one '
            f'({len(known)} of at most {limit} such files)'
        )
