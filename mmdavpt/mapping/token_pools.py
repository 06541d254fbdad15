"""Initial prompts made of the tokens of a dataset, as in Self-SPT."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .kmeans import cluster

#: Method to the functions that reduce a batch, add another batch, and pool
#: positions.
POOLED = {
    'mean': (torch.sum, torch.add, F.adaptive_avg_pool1d),
    'max': (torch.amax, torch.maximum, F.adaptive_max_pool1d),
}
POOLS = (*POOLED, 'kmeans', 'random')


class TokenPool:
    """Collect the patch tokens of one layer, and make prompts of them.

    - 'mean': the patch positions are split into as many runs as there are
      prompts; a prompt is the mean of its run's tokens over all images
      (Fig. 4d);
    - 'max': their maximum, for each channel;
    - 'kmeans': centroids of k-means over a random sample of all tokens;
    - 'random': tokens drawn from that sample.

    These are the methods of Self-SPT (Wang et al., "Revisiting the Power of
    Prompt for Visual Tuning", ICML 2024). It does not say how it splits the
    positions, so they are split as PyTorch's adaptive pooling does.

    Args:
        method (str): One of the above.
        seed (int): Seed of the sample and of k-means. Defaults to 0.
        sample_size (int): The number of tokens kept of all images, with
            'kmeans' and 'random'. Defaults to 10000.

    Raises:
        ValueError: If the method is unknown.
    """

    def __init__(
        self, method: str, seed: int = 0, sample_size: int = 10_000
    ) -> None:
        if method not in POOLS:
            raise ValueError(
                f'`method` should be one of {POOLS}, but got {method!r}'
            )
        self.method = method
        self.seed = seed
        self.sample_size = sample_size
        self.count = 0
        self.pooled: Tensor | None = None  # (N, C), 'mean' and 'max'
        self._generator = np.random.default_rng(seed)
        self._kept: Tensor | None = None  # (<= sample_size, C)
        self._order = np.empty(0)  # a random number for each kept token

    def add(self, tokens: Tensor) -> None:
        """Add the tokens of a batch.

        Args:
            tokens (Tensor): With shape (B, N, C); ``N`` is always the same.
        """
        tokens = tokens.detach().to(torch.float32)
        self.count += tokens.shape[0]
        if self.method not in POOLED:
            self._sample(tokens.flatten(0, 1))
            return
        reduce, add, _ = POOLED[self.method]
        batch = reduce(tokens, dim=0)
        self.pooled = batch if self.pooled is None else add(self.pooled, batch)

    def _sample(self, tokens: Tensor) -> None:
        # The tokens with the lowest random numbers are a uniform sample.
        order = self._generator.random(len(tokens))
        if self._kept is not None:
            tokens = torch.cat((self._kept, tokens))
            order = np.concatenate((self._order, order))
        lowest = np.sort(np.argsort(order, kind='stable')[: self.sample_size])
        self._kept = tokens[torch.from_numpy(lowest).to(tokens.device)]
        self._order = order[lowest]

    def prompts(self, num_prompts: int) -> Tensor:
        """Return the prompts, float32, with shape (P, C).

        Args:
            num_prompts (int): The number of prompts ``P``.

        Raises:
            ValueError: If there are fewer tokens than prompts.
        """
        found = self.pooled if self.method in POOLED else self._kept
        if len(found) < num_prompts:
            raise ValueError(
                f'{num_prompts} prompts need at least as many tokens, but '
                f"method={self.method!r} has {len(found)}: use 'kmeans' or "
                "'random', and enough images"
            )
        if self.method in POOLED:
            pool = POOLED[self.method][2]
            pooled = found / self.count if self.method == 'mean' else found
            return pool(pooled.t(), num_prompts).t()  # (C, N) -> (P, C)
        if self.method == 'random':
            first = np.argsort(self._order, kind='stable')[:num_prompts]
            return self._kept[torch.from_numpy(first).to(self._kept.device)]
        _, centroids = cluster(
            self._kept.cpu().numpy(), num_prompts, None, 'none', self.seed
        )
        return torch.as_tensor(centroids).to(self._kept)
