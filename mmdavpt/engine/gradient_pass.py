"""Select parameters by their gradients on the training data."""

import copy
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import torch
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdavpt.errors import UsageError
from mmdavpt.mapping.loaders import base_dataset, loader_like
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
        runner (Runner): A runner that has not started.
        max_batches (int, optional): The number of batches. Defaults to None,
            that of the tuner.

    Returns:
        tuple[str, dict[str, Tensor]]: Name of the tuner, and its selection.

    Raises:
        UsageError: If no tuner waits, if it needs a checkpoint, or if a
            gradient is not finite.
    """
    model, seed = runner.model, runner.seed
    name, tuner = _next_waiting(runner)
    tuner.first = False  # the pass runs without a selection
    runner._init_model_weights()
    runner.load_or_resume()
    guidance = getattr(model, 'guidance', None)
    mapped = guidance is not None and bool(guidance.initialized)
    for hook in runner.hooks:
        maps = isinstance(hook, PromptMappingHook) and not mapped
        if maps or isinstance(hook, PromptInitHook):
            hook.before_train(runner)
    given = runner.train_dataloader
    sampler = dict(type='DefaultSampler', shuffle=True)
    loader = loader_like(given, base_dataset(given.dataset), sampler, seed)
    watched = tuner.watched(model.backbone)
    batches = max_batches or tuner.batches
    sums = sum_scores(model, loader, watched, tuner.score, batches, seed)
    return name, tuner.selection_state(model.backbone, sums)


def _next_waiting(runner: Runner) -> tuple[str, SelectiveTuner]:
    seed = (runner.cfg.get('randomness') or {}).get('seed')
    repeatable = None not in (seed, runner.cfg.get('load_from'))
    for name, tuner in runner.model.backbone.tuners.items():
        if isinstance(tuner, SelectiveTuner) and tuner.selection is None:
            if tuner.first or repeatable:
                return name, tuner
    raise UsageError(
        'model.backbone.tuners has no tuner to select for: add SPT; or E2VPT '
        'with --checkpoint and with randomness.seed, since its training is '
        'repeated from the same initial values; both without `selection`'
    )


def sum_scores(
    model: nn.Module,
    batches: Iterable[dict],
    watched: Sequence[nn.Parameter],
    score: Callable[[Tensor, Tensor], Tensor],
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
        batches (Iterable[dict]): Batches of the training loader.
        watched (Sequence[nn.Parameter]): Parameters of the model, frozen ones
            too.
        score (Callable[[Tensor, Tensor], Tensor]): Returns what a batch adds,
            from a parameter and its gradient.
        max_batches (int, optional): Defaults to None, all.
        seed (int): Seed of the random draws. Defaults to 0.

    Returns:
        dict[nn.Parameter, Tensor]: The watched parameters to their sums.

    Raises:
        UsageError: If a gradient is not finite.
    """
    trial = copy.deepcopy(model)
    trial.train()
    for module in trial.modules():
        if 'Drop' in type(module).__name__:  # of any library
            module.eval()
    copies = dict(zip(model.parameters(), trial.parameters(), strict=True))
    followed = [copies[parameter] for parameter in watched]
    trial.requires_grad_(False)
    for parameter in followed:
        parameter.requires_grad_(True)
    sums = dict.fromkeys(watched, 0)
    with isolated_randomness(seed):
        for batch in islice(track(batches, 'gradients'), max_batches):
            data = trial.data_preprocessor(batch, training=True)
            loss, _ = trial.parse_losses(trial(**data, mode='loss'))
            gradients = torch.autograd.grad(
                loss, followed, materialize_grads=True
            )
            for parameter, gradient in zip(watched, gradients, strict=True):
                sums[parameter] += score(parameter.detach(), gradient)
    if not all(torch.isfinite(total).all() for total in sums.values()):
        raise UsageError(
            'the gradients of the training loss are not finite; check the '
            'images and the pre-trained weights'
        )
    return sums
