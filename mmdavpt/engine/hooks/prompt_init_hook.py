"""The hook that sets prompts to tokens of the training data."""

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmdavpt.engine.resuming import stopping
from mmdavpt.errors import check_choice, check_count
from mmdavpt.mapping.loaders import sample_loader
from mmdavpt.models.prompt_init import METHODS, init_prompts
from mmdavpt.progress import track
from mmdavpt.ranks import run_on_rank_0
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap


@HOOKS.register_module()
class PromptInitHook(Hook):
    """Set each layer's prompts to tokens that enter it (Figure 4d).

    The tokens are those of the un-prompted backbone on training images. A run
    that resumes, or loads a checkpoint by ``load_from``, keeps its prompts.

    Args:
        method (str): See :func:`.init_prompts`. Defaults to 'mean'.
        max_images (int): The number of training images to read, chosen by
            ``seed``. Defaults to 1000.
        seed (int): Seed of all choices. Defaults to 0.

    Raises:
        ValueError: If an argument is invalid.
    """

    # After the weights are loaded, and before the first mapping is made.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self, method: str = 'mean', max_images: int = 1000, seed: int = 0
    ) -> None:
        check_choice('PromptInitHook: `method`', method, METHODS)
        check_count('PromptInitHook: `max_images`', max_images, 1)
        check_count('PromptInitHook: `seed`', seed, 0)
        self.method = method
        self.max_images = max_images
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        """Make the prompts, unless those of a checkpoint were loaded."""
        if runner._resume or runner._load_from is not None:
            note = 'PromptInitHook: the prompts of the checkpoint are kept.'
            runner.logger.info(note)
            return
        model = unwrap(runner.model)
        if not hasattr(getattr(model, 'backbone', None), 'layer_inputs'):
            raise TypeError(
                'PromptInitHook needs a backbone of type '
                'DAVPTVisionTransformer or DAVPTTimmViT, but got '
                f'{type(getattr(model, "backbone", None)).__name__}'
            )
        runner.logger.info(
            f'PromptInitHook: prompts of the {self.method} of the tokens '
            f'of up to {self.max_images} images.'
        )
        stop = stopping.stop_request_of(runner)
        run_on_rank_0(lambda: self._set_prompts(runner, model))
        stop.obey()
        for prompts in model.backbone.prompts.values():
            broadcast(prompts.data)

    def _set_prompts(self, runner: Runner, model: nn.Module) -> None:
        stop = stopping.stop_request_of(runner)
        number, seed = self.max_images, self.seed
        loader = sample_loader(runner.train_dataloader, number, seed)
        batches = track(stopping.ignore_signals_in_workers(loader), 'tokens')
        options = len(loader.dataset), self.method, seed
        init_prompts(model, batches, *options, lambda: bool(stop.signal))
