"""Optuna studies: sample, train, prune and resume trials.

A study has all its trials from the start. The process of a trial holds a
lock, which ends with the process; another one thus resumes an interrupted
trial.
"""

import fcntl
import json
import shlex
from argparse import Namespace
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import optuna
from mmengine.hooks import Hook
from mmengine.runner import Runner
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from mmdavpt.errors import UsageError

from .experiment import STOPPED, Run, list_runs, train_and_test
from .experiment_table import Experiment, build_config, read_table, select_rows
from .options import parse_value
from .protocol import selection_warning, with_protocol

#: What is the same for all studies.
SHARED = dict(study_name='search', direction='maximize', load_if_exists=True)
#: The metric that chooses.
SAVE_BEST = 'default_hooks.checkpoint.save_best'
#: Options of a trial.
NO_TEST = dict.fromkeys(('test_dataloader', 'test_evaluator', 'test_cfg'))
NO_VAL = dict.fromkeys(('val_dataloader', 'val_evaluator', 'val_cfg'))
optuna.logging.set_verbosity(optuna.logging.WARNING)


def list_studies(args: Namespace) -> list[Run]:
    """Return the study of each row and seed: a run with ``study.json``.

    Args:
        args (Namespace): See :func:`.search.add_arguments`. The search space
            is a JSON file: each name of a column of an experiment table to
            ``choices``, or to the arguments of Optuna's ``suggest_float``:
            ``low``, ``high``, and ``log`` or ``step``.

    Raises:
        UsageError: If the search space is malformed or does not fit a row, or
            a row has no validation images that differ from its test images.
    """
    studies = list_runs(select_rows(read_table(args.table), args.rows), args)
    for study in studies:
        try:
            study.settings['space'] = json.loads(Path(args.space).read_text())
            row = sample_row(study, optuna.create_study().ask())
        except (AttributeError, OSError, TypeError, ValueError) as error:
            raise UsageError(f'--space {args.space}: {error}') from None
        cfg = with_protocol(build_config(row), args.protocol)
        # The score of a trial is the best one on its validation images.
        options = {SAVE_BEST: 'auto'} | args.cfg_options
        study.settings['cfg_options'] = options
        cfg.merge_from_dict(options)
        if cfg.get('val_dataloader') is None or selection_warning(cfg):
            raise UsageError(
                f'{row.base} has no validation images that are not its test '
                'images; add some (configs/README.md), or --protocol tune'
            )
    return [replace(study, name='study.json') for study in studies]


def sample_row(study: Run, trial: Trial) -> Experiment:
    """Return the row of a study with the values of a trial.

    Missing values are sampled; they depend on the seed, the trial's number
    and the trials before it. Texts are read as cells of a table.

    Args:
        study (Run): The study.
        trial (Trial): The trial.
    """
    seed = 1000 * study.settings['seed'] + trial.number
    trial.study.sampler = optuna.samplers.TPESampler(seed=seed)
    for name, values in study.settings['space'].items():
        kind = 'categorical' if 'choices' in values else 'float'
        getattr(trial, f'suggest_{kind}')(name, **values)
    changes = {k: parse_value(str(v)) for k, v in trial.params.items()}
    return replace(study.row, changes=study.row.changes | changes)


def run_trial(study: Run, trials: int, verbose: bool = False) -> str | None:
    """Train a trial, unless all are finished or run in other processes.

    Args:
        study (Run): The study.
        trials (int): See :func:`update_study`.
        verbose (bool): See :func:`.quiet_console`. Defaults to False.

    Returns:
        str | None: The reason of a failure, else None.
    """
    found = update_study(study, trials)
    # Each byte after the first is the lock of a trial.
    with open(study.folder / 'study.lock', 'a') as lock:
        for number in range(len(found.trials)):
            with suppress(BlockingIOError):
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1 + number)
                # As it is now: its last process may have finished it.
                trial = found.trials[number]
                if trial.state == TrialState.RUNNING:
                    trial = Trial(found, trial._trial_id)
                    return train_trial(study, trial, verbose)
    return None


def train_trial(study: Run, trial: Trial, verbose: bool = False) -> str | None:
    """Train a trial, and tell its score.

    Args:
        study (Run): The study.
        trial (Trial): An unfinished trial, whose lock this process holds.
        verbose (bool): See :func:`.quiet_console`. Defaults to False.

    Returns:
        str | None: The reason of a failure, else None.
    """
    row = sample_row(study, trial)
    settings = dict(study.settings, changes=row.changes)
    settings['cfg_options'] = study.settings['cfg_options'] | NO_TEST
    run = Run(row, study.folder / f'trial_{trial.number}', settings)
    failure = train_and_test(run, PruneHook(trial), verbose=verbose)
    # A pruned trial is finished already.
    if failure is None:
        score = run.record()['metrics']['best val']
        trial.study.tell(trial, score, skip_if_finished=True)
    elif failure != STOPPED:
        trial.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
    return failure


class PruneHook(Hook):
    """Report each validation; stop if it is below the median of other trials.

    Args:
        trial (Trial): The trial. Its score is the best one so far.
    """

    # After CheckpointHook, which keeps the best score.
    priority = 'LOWEST'

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    def after_val_epoch(self, runner: Runner, *_, **__) -> None:
        """Report the score, and stop if it is low."""
        trial, percent = self.trial, 100 * runner.iter // runner.max_iters
        trial.report(runner.message_hub.get_info('best_score'), percent)
        if percent < 100 and trial.should_prune():
            # At once: an interruption must not revive it.
            trial.study.tell(trial, state=TrialState.PRUNED)
            runner.train_loop.stop_training = True


def update_study(study: Run, trials: int = 0) -> optuna.Study:
    """Open the Optuna study, add missing trials, and write ``study.json``.

    Args:
        study (Run): The study.
        trials (int): The number of trials, without failed ones. Defaults to
            0: those that it has.

    Raises:
        UsageError: If the folder holds a study with other settings.
    """
    study.record()
    study.folder.mkdir(parents=True, exist_ok=True)
    with open(study.folder / 'study.lock', 'a') as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1)
        journal = JournalFileBackend(str(study.folder / 'study.log'))
        storage = optuna.storages.JournalStorage(journal)
        # Its steps are percents of a training.
        pruner = optuna.pruners.MedianPruner(n_warmup_steps=20)
        found = optuna.create_study(storage=storage, pruner=pruner, **SHARED)
        failed = found.get_trials(states=[TrialState.FAIL])
        for _ in range(trials + len(failed) - len(found.trials)):
            found.ask()
        rows = [
            dict(state=t.state.name, score=t.value, values=t.params)
            for t in found.trials
        ]
        best = [trial.number for trial in found.best_trials[:1]]
        study.write(best=best, trials=rows)
    return found


def describe(study: Run) -> str:
    """Return the result, with the command that trains the best settings.

    Args:
        study (Run): The study.
    """
    found = update_study(study)
    done = [trial.state.is_finished() for trial in found.trials]
    text = f'{study.folder}: {sum(done)} of {len(done)} trials are finished'
    for best in found.best_trials[:1]:
        text += f'; the best is trial {best.number} with {best.value:.2f}'
        row = sample_row(study, Trial(found, best._trial_id))
        text += f'\n    {shlex.join(final_training(study, row))}'
    return text


def final_training(study: Run, row: Experiment) -> list[str]:
    """Return the command that trains a row on all training images.

    Args:
        study (Run): The study; the run is in a folder of it.
        row (Experiment): The row with the chosen values.
    """
    cfg = build_config(row)
    options = row.changes | study.settings['cfg_options']
    options.pop(SAVE_BEST)  # the images that chose now train
    parts = [dict(cfg.get(f'{s}_data') or {}) for s in ('train', 'val')]
    listed = all([part.pop('ann_file', None) for part in parts])
    if listed and parts[0] == parts[1]:  # parts of one folder
        options |= dict(train_data=parts[0], **NO_VAL)
    command = ['mmdavpt', 'train', str(row.base)]
    command += ['--work-dir', str(study.folder / 'best')]
    if 'retrain' in (cfg.get('protocols') or ()):
        command += ['--protocol', 'retrain']
    flags = [f'{key}={value}' for key, value in options.items()]
    return [*command, '--cfg-options', *flags]
