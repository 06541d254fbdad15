"""Compare a checkpoint with the model and the config that load it."""

from collections.abc import Mapping, Sequence

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmdavpt.checkpoints.fit import GUIDANCE, check_fit
from mmdavpt.errors import UsageError, first_few
from mmdavpt.unwrap import model_of

from ..class_counts import label_defect, metainfo_of

#: Attributes of schedules that change in each step.
PROGRESS = {'last_step', '_global_step', '_last_value', 'best'}
PROGRESS |= {'num_bad_epochs', 'cooldown_counter'}


class CheckpointFitHook(Hook):
    """Refuse a checkpoint whose weights are not exactly those of the model.

    mmengine loads what fits and only warns about the rest, so that a
    checkpoint of another config gives the scores of random weights.

    Args:
        training (bool): Whether the run is a training, not a test.
        allowed (str | Sequence[str]): Patterns of names, such as
            ``'head.*'``, that may be missing, unexpected or of another shape,
            in the checkpoint that a training starts from (``load_from``
            without ``resume``) or a test loads. Defaults to ().
    """

    # After hooks that complete a checkpoint.
    priority = 'LOWEST'

    def __init__(self, training: bool, allowed: Sequence[str] = ()) -> None:
        self.training = training
        allowed = [allowed] if isinstance(allowed, str) else allowed
        self.allowed = (GUIDANCE, *allowed)

    def before_train(self, runner: Runner) -> None:
        """Check that a resumed optimizer has all its options.

        Raises:
            UsageError: If the checkpoint is of another kind of optimizer.
        """
        missing: set[str] = set()
        optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
        for group in getattr(optimizer, 'param_groups', ()):
            missing |= optimizer.defaults.keys() - group.keys()
        if missing:
            raise UsageError(
                f'{runner._load_from} is of a training with another optimizer '
                f'than {type(optimizer).__name__}: its state has no '
                f'{", ".join(sorted(missing))}; keep the optimizer, or start '
                'from the checkpoint by `load_from`, without --resume'
            )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names, shapes and classes before the weights are loaded.

        A resumed run warns about schedules that it does not take from its
        config.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): Content of the file. Weights of another
                shape are taken out of it where that is allowed.

        Raises:
            UsageError: If something does not fit, or if a resumed run or a
                test has other classes than the checkpoint.
        """
        source = runner._load_from or 'the checkpoint'
        resumed = self.training and runner._resume
        if resumed and 'optimizer' not in checkpoint:
            raise UsageError(
                f'{source} has no optimizer state, so it is not resumable; '
                "resume from a checkpoint without 'best' in its name, or "
                'start from it by `load_from`'
            )
        if resumed:
            if note := resume_note(runner, checkpoint):
                runner.logger.warning(note)
        state = checkpoint.get('state_dict', checkpoint)
        allowed = () if resumed else self.allowed
        check_fit(model_of(runner.model), state, source, allowed)
        split = 'train' if self.training else 'test'
        meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
        defect = label_defect(
            meta,
            metainfo_of(getattr(runner, f'{split}_dataloader').dataset),
            'training of the checkpoint',
            'training set' if self.training else 'test set',
        )
        if defect and self.training and not resumed:
            runner.logger.warning(f'{source}: {defect}')
        elif defect:
            raise UsageError(defect)


def resume_note(runner: Runner, checkpoint: Mapping) -> str:
    """Return how a resumed run differs from its config.

    mmengine restores schedules with their ends and rates, so training longer
    does not extend a schedule. Several optimizers are not compared.

    Args:
        runner (Runner): The runner, built from the config.
        checkpoint (Mapping): With the states of optimizer and schedules.

    Returns:
        str: One sentence; empty if nothing differs.
    """
    both = []  # names, values of the checkpoint, values of the config
    schedules = runner.param_schedulers
    stored = checkpoint.get('param_schedulers')
    if isinstance(schedules, list) and schedules and stored:
        both.append(('number of schedules', len(stored), len(schedules)))
        for i, (new, old) in enumerate(zip(schedules, stored, strict=False)):
            both += [
                (f'param_scheduler.{i}.{key}', old[key], getattr(new, key))
                for key in sorted(old.keys() & vars(new).keys() - PROGRESS)
            ]
    if isinstance(runner.optim_wrapper, OptimWrapper):
        groups = checkpoint['optimizer'].get('param_groups', ())
        built = runner.optim_wrapper.param_groups
        for old, new in zip(groups, built, strict=False):
            for key in ('lr', 'weight_decay'):
                # Schedules change these, and keep their first values.
                if f'initial_{key}' not in old:
                    both.append((key, old.get(key), new.get(key)))
    pairs = [(name, old, new) for name, old, new in both if old != new]
    form = '{}={:.60} instead of {:.60}'.format
    different = [form(name, str(old), str(new)) for name, old, new in pairs]
    if not different:
        return ''
    return (
        'the run resumes with settings of the checkpoint, which differ from '
        f'the config: {first_few(dict.fromkeys(different), 4)}; to train by '
        'the config, start from the checkpoint by `load_from`, without '
        '--resume'
    )
