"""The hook that makes the first prompts of the data's own tokens."""

from typing import Dict, List, Optional

import torch
from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import ProgressBar
from torch import nn
from torch.utils.data import DataLoader

from mmdavpt.engine.ranks.on_main import on_main
from mmdavpt.engine.resuming.randomness import isolated_randomness
from mmdavpt.engine.resuming.stopping import StopRequest, stop_request_of
from mmdavpt.mapping.first_pass import sample_loader
from mmdavpt.mapping.token_pools import TokenPool
from mmdavpt.models.backbones import DAVPTVisionTransformer
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap


@HOOKS.register_module()
class PromptInitHook(Hook):
    """Set each layer's prompts to tokens that enter it (Figure 4d).

    The tokens are those of the un-prompted backbone on training images. A run
    that resumes, or loads a checkpoint by ``load_from``, keeps its prompts.

    Args:
        method (str): How tokens become prompts: 'mean', 'max', 'kmeans' or
            'random', see :class:`mmdavpt.mapping.token_pools.TokenPool`.
        max_images (int): How many training images are looked at, chosen by
            ``seed``. Defaults to 1000.
        pipeline (List[dict], optional): Transforms of these images.
            Defaults to None, the training ones.
        seed (int): Seed of all choices. Defaults to 0.

    Raises:
        ValueError: If an argument is out of its range.
    """

    # After the weights are loaded, and before the first mapping is made.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        method: str = 'mean',
        max_images: int = 1000,
        pipeline: Optional[List[dict]] = None,
        seed: int = 0,
    ) -> None:
        if max_images < 1 or seed < 0:
            raise ValueError(
                'PromptInitHook: `max_images` should be at least 1 and '
                f'`seed` at least 0, but got {max_images} and {seed}'
            )
        TokenPool(method)  # an unknown method is an error now
        self.method = method
        self.max_images = max_images
        self.pipeline = pipeline
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        """Make the prompts, unless the run goes on from other ones."""
        if runner._resume or runner._load_from is not None:
            runner.logger.info(
                'PromptInitHook: prompts of the checkpoint are kept.'
            )
            return
        model = unwrap(runner.model)
        backbone = getattr(model, 'backbone', None)
        if not isinstance(backbone, DAVPTVisionTransformer):
            raise TypeError(
                'PromptInitHook needs a backbone of type '
                f'DAVPTVisionTransformer, but got {type(backbone).__name__}'
            )
        runner.logger.info(
            f'PromptInitHook: prompts of the {self.method} of the tokens '
            f'of up to {self.max_images} images.'
        )
        stop = stop_request_of(runner)
        on_main(
            lambda: self._set_prompts(model, runner.train_dataloader, stop)
        )
        stop.obey()
        for prompts in backbone.prompts.values():
            broadcast(prompts.data)

    def _set_prompts(
        self, model: nn.Module, train_dataloader: DataLoader, stop: StopRequest
    ) -> None:
        with isolated_randomness(self.seed):
            made = self._prompts(model, train_dataloader, stop)
        for layer, prompts in made.items():
            model.backbone.prompts[layer].data.copy_(prompts)

    @torch.no_grad()
    def _prompts(
        self, model: nn.Module, train_dataloader: DataLoader, stop: StopRequest
    ) -> Dict[str, torch.Tensor]:
        """Return the prompts of each layer that has some, by its index."""
        backbone = model.backbone
        pools = {
            layer: TokenPool(self.method, self.seed)
            for layer in backbone.prompts
        }
        loader = sample_loader(
            train_dataloader, self.pipeline, self.max_images, self.seed
        )
        bar = ProgressBar(len(loader))
        was_training = model.training
        model.eval()
        for batch in loader:
            data = model.data_preprocessor(batch, training=True)
            inputs = backbone.layer_inputs(data['inputs'])
            for layer, tokens in enumerate(inputs):
                if str(layer) in pools:
                    pools[str(layer)].add(tokens)
            bar.update()
            if stop.signal:
                return {}
        model.train(was_training)
        return {
            layer: pool.prompts(backbone.prompts.counts[int(layer)])
            for layer, pool in pools.items()
        }
