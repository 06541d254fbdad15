"""Describe a run in a few lines before it starts."""

import os.path as osp

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner, find_latest_checkpoint
from torch.utils.data import DataLoader

from mmdavpt.engine.class_counts import metainfo_of
from mmdavpt.mapping.loaders import batch_size_of
from mmdavpt.unwrap import unwrap


class SummaryHook(Hook):
    """Log what a run does, with which data, and where its results go.

    Args:
        config (str): Path of the config.

    Attributes:
        started (bool): Whether the run has finished an iteration.
    """

    # After the hook that saves the last checkpoint.
    priority = 'LOWEST'

    def __init__(self, config: str) -> None:
        self.config, self.started = config, False

    def before_run(self, runner: Runner) -> None:
        """Log the summary."""
        lines = summarize(runner, self.config).items()
        text = '\n'.join(f'{name:<13}{value}' for name, value in lines)
        runner.logger.info(f'Summary:\n{text}')

    def _after_iter(self, *args, **kwargs) -> None:
        self.started = True

    def after_train(self, runner: Runner) -> None:
        """Log the path of the last checkpoint."""
        last = find_latest_checkpoint(runner.work_dir)
        if last is not None:
            runner.logger.info(f'Finished; the last checkpoint is {last}.')


def summarize(runner: Runner, config: str) -> dict[str, str]:
    """Return the lines of a summary by their titles.

    Args:
        runner (Runner): The runner; the loops of the run are built.
        config (str): Path of the config.
    """
    model = unwrap(runner.model)
    device = next((p.device for p in model.parameters()), 'no device')
    processes = f', {runner.world_size} processes' * (runner.world_size > 1)
    where = f'{device}{processes}'
    lines = dict(config=config, model=f'{type(model).__name__} on {where}')
    if runner._load_from is not None:
        done = 'resumed from' if runner._resume else 'weights of'
        lines['checkpoint'] = f'{done} {runner._load_from}'
    if hasattr(runner._test_loop, 'dataloader'):
        lines['test'] = _data(runner._test_loop.dataloader)
    else:
        loop = runner.train_loop
        length = f'{loop.max_iters:,} iterations'
        if not isinstance(loop, IterBasedTrainLoop):
            length = f'{loop.max_epochs} epochs, {length}'
        lines['training'] = f'{_data(loop.dataloader)}; {length}'
        if runner.val_loop is not None:
            lines['validation'] = _data(runner.val_loop.dataloader)
    lines['work folder'] = runner.work_dir
    lines['log file'] = osp.join(runner.log_dir, f'{runner.timestamp}.log')
    return lines


def _data(loader: DataLoader) -> str:
    """Return the numbers of images, classes and images in a batch."""
    classes = metainfo_of(loader.dataset).get('classes')
    of_classes = f' of {len(classes)} classes' if classes else ''
    images = f'{len(loader.dataset):,} images{of_classes}'
    return f'{images}, batch size {batch_size_of(loader)}'
