"""Prompts that start as tokens of the training data."""

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdavpt.mapping import cluster
from mmdavpt.randomness import isolated_randomness

#: Ways to make prompts of tokens.
METHODS = ('mean', 'kmeans')
#: How many tokens of all images are clustered, about.
SAMPLE = 10_000


@torch.no_grad()
def init_prompts(
    model: nn.Module,
    batches: Iterable[dict],
    images: int,
    method: str = 'kmeans',
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Set each layer's prompts to tokens that enter it (Figure 4d).

    The tokens are those of the un-prompted backbone. The methods are those of
    Self-SPT (Wang et al., "Revisiting the Power of Prompt for Visual Tuning",
    ICML 2024). It does not say how it splits the positions, so they are split
    as PyTorch's adaptive pooling does.

    Args:
        model (nn.Module): A model with a backbone of this package.
        batches (Iterable[dict]): Training batches, as of a loader.
        images (int): The number of images in them.
        method (str): How tokens become prompts. Defaults to 'kmeans'.

            - 'mean': the patch positions are split into as many runs as there
              are prompts; a prompt is the mean of its run's tokens over all
              images (Figure 4d);
            - 'kmeans': centroids of k-means over about 10,000 tokens, an
              equal number of each image.
        seed (int): Seed of all choices. Defaults to 0.
        stop (Callable): Asked after each batch whether to leave the prompts
            as they are. Defaults to never.

    Raises:
        ValueError: If there are fewer tokens than prompts.
    """
    prompts, was_training = model.backbone.prompts, model.training
    found: dict[str, list[Tensor]] = {layer: [] for layer in prompts}
    model.eval()
    with isolated_randomness(seed):
        for batch in batches:
            inputs = model.data_preprocessor(batch, training=True)
            layers = model.backbone.layer_inputs(inputs['inputs'])
            for layer, tokens in enumerate(layers):
                if str(layer) in found:
                    _add(found[str(layer)], tokens.float(), images, method)
            if stop():
                return
    model.train(was_training)
    for layer, kept in found.items():
        tokens, number = torch.cat(kept), len(prompts[layer])
        prompts[layer].copy_(_to_prompts(tokens, number, method, seed))


def _add(found: list[Tensor], tokens: Tensor, count: int, method: str) -> None:
    """Add the tokens of a batch, (B, N, C), to those that are kept.

    These are rows of tokens to cluster; or the mean over all images, of
    which each batch adds its part.
    """
    if method == 'mean':
        found[:] = [sum(found, tokens.sum(dim=0) / count)]
        return
    positions = torch.randperm(tokens.shape[1])
    positions = positions[: math.ceil(SAMPLE / count)].sort().values
    found.append(tokens[:, positions].flatten(0, 1))


def _to_prompts(tokens: Tensor, number: int, method: str, seed: int) -> Tensor:
    """Make prompts, (P, C), of the tokens that were kept."""
    if len(tokens) < number:
        raise ValueError(
            f'{number} prompts need at least as many tokens, but '
            f'method={method!r} has {len(tokens)}; use fewer '
            "prompts, or method='kmeans' and enough images"
        )
    if method == 'mean':  # (C, N) -> (P, C)
        return F.adaptive_avg_pool1d(tokens.t(), number).t()
    # One run: any spread of real tokens serves, and ten take a minute.
    values = tokens.cpu().numpy()
    _, centroids = cluster(values, number, None, 'none', seed, 1)
    return torch.as_tensor(centroids)
