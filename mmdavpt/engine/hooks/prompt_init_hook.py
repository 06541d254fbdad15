"""The hook that initializes prompts with tokens of the training data."""

import math

import torch
import torch.nn.functional as F
from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdavpt.engine.resuming.stopping import stop_request_of
from mmdavpt.engine.workers import ignore_signals_in_workers
from mmdavpt.mapping import cluster
from mmdavpt.mapping.loaders import sample_loader
from mmdavpt.mapping.refresh_schedule import check_count
from mmdavpt.models.option_checks import check_choice
from mmdavpt.progress import track
from mmdavpt.randomness import isolated_randomness
from mmdavpt.ranks import run_on_rank_0
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap

#: How many tokens of all images are clustered, about.
SAMPLE = 10_000


@HOOKS.register_module()
class PromptInitHook(Hook):
    """Set each layer's prompts to tokens that enter it (Figure 4d).

    The tokens are those of the un-prompted backbone on training images. A run
    that resumes, or loads a checkpoint by ``load_from``, keeps its prompts.
    The methods are those of Self-SPT (Wang et al., "Revisiting the Power of
    Prompt for Visual Tuning", ICML 2024). It does not say how it splits the
    positions, so they are split as PyTorch's adaptive pooling does.

    Args:
        method (str): How tokens become prompts. Defaults to 'mean'.

            - 'mean': the patch positions are split into as many runs as there
              are prompts; a prompt is the mean of its run's tokens over all
              images (Figure 4d);
            - 'kmeans': centroids of k-means over about 10,000 tokens, an
              equal number of each image.
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
        check_choice('PromptInitHook: `method`', method, ('mean', 'kmeans'))
        check_count('PromptInitHook: `max_images`', max_images, 1)
        check_count('PromptInitHook: `seed`', seed, 0)
        self.method = method
        self.max_images = max_images
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        """Make the prompts, unless those of a checkpoint were loaded."""
        if runner._resume or runner._load_from is not None:
            runner.logger.info(
                'PromptInitHook: the prompts of the checkpoint are kept.'
            )
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
        stop = stop_request_of(runner)
        run_on_rank_0(lambda: self._set_prompts(runner, model))
        stop.obey()
        for prompts in model.backbone.prompts.values():
            broadcast(prompts.data)

    @torch.no_grad()
    def _set_prompts(self, runner: Runner, model: nn.Module) -> None:
        prompts, stop = model.backbone.prompts, stop_request_of(runner)
        found = {layer: [] for layer in prompts}
        was_training = model.training
        model.eval()
        with isolated_randomness(self.seed):
            loader = sample_loader(
                runner.train_dataloader, self.max_images, self.seed
            )
            images = len(loader.dataset)
            for batch in track(ignore_signals_in_workers(loader), 'tokens'):
                inputs = model.data_preprocessor(batch, training=True)
                layers = model.backbone.layer_inputs(inputs['inputs'])
                for layer, tokens in enumerate(layers):
                    if str(layer) in found:
                        self._add(found[str(layer)], tokens.float(), images)
                if stop.signal:
                    return
        model.train(was_training)
        for layer, tokens in found.items():
            prompts[layer].copy_(
                self._prompts(torch.cat(tokens), len(prompts[layer]))
            )

    def _add(self, found: list[Tensor], tokens: Tensor, images: int) -> None:
        """Add the tokens of a batch, (B, N, C), to those that are kept.

        These are rows of tokens to cluster; or the mean over all images, of
        which each batch adds its part.
        """
        if self.method == 'mean':
            found[:] = [sum(found, tokens.sum(dim=0) / images)]
            return
        positions = torch.randperm(tokens.shape[1])
        positions = positions[: math.ceil(SAMPLE / images)].sort().values
        found.append(tokens[:, positions].flatten(0, 1))

    def _prompts(self, tokens: Tensor, number: int) -> Tensor:
        """Make prompts, (P, C), of the tokens that were kept.

        Raises:
            ValueError: If there are fewer tokens than prompts.
        """
        if len(tokens) < number:
            raise ValueError(
                f'{number} prompts need at least as many tokens, but '
                f'method={self.method!r} has {len(tokens)}; use fewer '
                "prompts, or method='kmeans' and enough images"
            )
        if self.method == 'mean':  # (C, N) -> (P, C)
            return F.adaptive_avg_pool1d(tokens.t(), number).t()
        values = tokens.cpu().numpy()
        # One run: any spread of real tokens serves, and ten take a minute.
        _, centroids = cluster(values, number, None, 'none', self.seed, 1)
        return torch.as_tensor(centroids)
