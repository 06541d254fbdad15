"""Select parameters by their gradients on the training data."""

import copy
from collections.abc import Iterable
from itertools import islice

import torch
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdavpt.checkpoints import read_run_checkpoint
from mmdavpt.errors import UsageError
from mmdavpt.mapping.loaders import first_pass_loader
from mmdavpt.models.tuners import SelectiveTuner
from mmdavpt.progress import track
from mmdavpt.randomness import isolated_randomness

from .hooks import PromptInitHook, PromptMappingHook


def select_parameters(
    runner: Runner, max_batches: int | None = None
) -> tuple[str, dict[str, Tensor]]:
    """Make the selection of the first tuner that waits for one.

    The weights, prompts and mapping are those with which a training would
    start, or those of the checkpoint that the runner loads.

    Args:
        runner (Runner): A runner, before its training starts.
        max_batches (int, optional): The number of batches. Defaults to None,
            that of the tuner.

    Returns:
        tuple[str, dict[str, Tensor]]: Name of the tuner, and its selection.

    Raises:
        UsageError: If no tuner waits, if it needs a checkpoint, or if a
            gradient is not finite.
    """
    name, tuner = _next_waiting(runner)
    tuner.first = False  # the pass runs without a selection
    runner._init_model_weights()
    runner.load_or_resume()
    # The hooks keep the prompts and the mapping of a checkpoint.
    runner._resume = runner._load_from is not None
    for hook in runner.hooks:
        if isinstance(hook, (PromptInitHook, PromptMappingHook)):
            hook.before_train(runner)
    loader = first_pass_loader(runner.train_dataloader, runner.seed, True)
    batches = max_batches or tuner.batches
    scores = sum_scores(runner.model, tuner, loader, batches, runner.seed)
    del tuner.first  # a training still needs the selection
    return name, tuner.selection_state(runner.model.backbone, scores)


def _next_waiting(runner: Runner) -> tuple[str, SelectiveTuner]:
    seed = (runner.cfg.get('randomness') or {}).get('seed')
    file = runner.cfg.get('load_from')
    meta = read_run_checkpoint(file).get('meta', {}) if file else {}
    repeatable = None not in (seed, file) and meta.get('seed', seed) == seed
    for name, tuner in runner.model.backbone.tuners.items():
        waits = isinstance(tuner, SelectiveTuner) and tuner.selection is None
        if waits and (tuner.first or repeatable):
            return name, tuner
    raise UsageError(
        'model.backbone.tuners has no tuner to select for: add SPT; or E2VPT '
        'with --checkpoint of a training with the randomness.seed of the '
        'config, since it is repeated from the same initial values; both '
        'without `selection`'
    )


def sum_scores(
    model: nn.Module,
    tuner: SelectiveTuner,
    batches: Iterable[dict],
    max_batches: int | None = None,
    seed: int = 0,
) -> dict[nn.Parameter, Tensor]:
    """Sum a score of the training loss's gradients over batches.

    The loss is that of training, with statistics of batches and guidance, but
    without dropout and stochastic depth. It is computed on a copy: the model
    and the random state are left as they are.

    Args:
        model (nn.Module): A model of mmengine, with its mapping if it is
            guided.
        tuner (SelectiveTuner): Names the parameters, frozen ones too, and
            their score.
        batches (Iterable[dict]): Batches of the training loader.
        max_batches (int, optional): Defaults to None, all.
        seed (int): Seed of the random draws. Defaults to 0.

    Returns:
        dict[nn.Parameter, Tensor]: The watched parameters to their sums.

    Raises:
        UsageError: If a gradient is not finite.
    """
    trial = copy.deepcopy(model)
    trial.train()
    trial.backbone.store_frozen(None)  # gradients have their type
    for module in trial.modules():
        if 'Drop' in type(module).__name__:  # of any library
            module.eval()
    trial.requires_grad_(False)
    followed = [p.requires_grad_() for p in tuner.watched(trial.backbone)]
    sums = [0] * len(followed)
    with isolated_randomness(seed):
        for batch in islice(track(batches, 'gradients'), max_batches):
            data = trial.data_preprocessor(batch, training=True)
            loss, _ = trial.parse_losses(trial(**data, mode='loss'))
            grads = torch.autograd.grad(loss, followed)
            for i, grad in enumerate(grads):
                sums[i] += tuner.score(followed[i].detach(), grad)
    if not all(torch.isfinite(total).all() for total in sums):
        raise UsageError(
            'the gradients of the training loss should be finite; check the '
            'images and the pre-trained weights'
        )
    return dict(zip(tuner.watched(model.backbone), sums, strict=True))
