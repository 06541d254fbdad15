"""Prompts made of the tokens of a data set, as Self-SPT starts from them."""

from typing import Optional

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .kmeans import cluster

POOLS = ('mean', 'max', 'kmeans', 'random')


class TokenPool:
    """Collects the patch tokens of one layer, and makes prompts of them.

    - 'mean': patch places are cut into as many runs as there are prompts;
      a prompt is the mean of its run's tokens over all images (Fig. 4d);
    - 'max': their maximum, for each channel;
    - 'kmeans': centroids of k-means over a random sample of all tokens;
    - 'random': tokens drawn from that sample.

    The four ways are those of Self-SPT (Wang et al., "Revisiting the Power of
    Prompt for Visual Tuning", ICML 2024); how it cuts the places into runs is
    not said, so the rule here is PyTorch's adaptive pooling.

    Args:
        method (str): One of the above.
        seed (int): Seed of the sample and of k-means. Defaults to 0.
        sample_size (int): The most tokens that are kept of all images, with
            'kmeans' and 'random'. Defaults to 10000.

    Raises:
        ValueError: If the method is unknown.
    """

    def __init__(
        self, method: str, seed: int = 0, sample_size: int = 10_000
    ) -> None:
        if method not in POOLS:
            raise ValueError(
                f'prompts should be made of tokens by one of {POOLS}, but got '
                f'{method!r}'
            )
        self.method = method
        self.seed = seed
        self.sample_size = sample_size
        self.count = 0
        self.pooled: Optional[Tensor] = None  # (N, C), 'mean' and 'max'
        self._generator = np.random.default_rng(seed)
        self._kept: Optional[Tensor] = None  # (<= sample_size, C)
        self._order = np.empty(0)  # a random number for each kept token

    def add(self, tokens: Tensor) -> None:
        """Take in the tokens of a batch.

        Args:
            tokens (Tensor): With shape (B, N, C); ``N`` is always the same.
        """
        tokens = tokens.detach().to(torch.float32)
        self.count += tokens.shape[0]
        if self.method == 'mean':
            total = tokens.sum(dim=0)
            self.pooled = total if self.pooled is None else self.pooled + total
        elif self.method == 'max':
            top = tokens.amax(dim=0)
            self.pooled = (
                top if self.pooled is None else torch.maximum(self.pooled, top)
            )
        else:
            self._sample(tokens.flatten(0, 1))

    def _sample(self, tokens: Tensor) -> None:
        # The tokens with the lowest numbers of all are a uniform sample.
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
        if self.method in ('mean', 'max'):
            pooled = self.pooled
            if len(pooled) < num_prompts:
                raise ValueError(
                    f'{num_prompts} prompts should be made of at least as '
                    f'many patches, but there are {len(pooled)}: some would '
                    "be copies, and stay so; choose 'random' or 'kmeans'"
                )
            if self.method == 'mean':
                pooled = pooled / self.count
            pool = (
                F.adaptive_avg_pool1d
                if self.method == 'mean'
                else F.adaptive_max_pool1d
            )
            return pool(pooled.t(), num_prompts).t()  # (C, N) -> (P, C)
        if len(self._kept) < num_prompts:
            raise ValueError(
                f'{num_prompts} prompts should be made of at least as many '
                f'tokens, but there are {len(self._kept)}'
            )
        if self.method == 'random':
            first = np.argsort(self._order, kind='stable')[:num_prompts]
            return self._kept[torch.from_numpy(first).to(self._kept.device)]
        _, centroids = cluster(
            self._kept.cpu().numpy(), num_prompts, None, 'none', self.seed
        )
        return torch.as_tensor(centroids).to(self._kept)
