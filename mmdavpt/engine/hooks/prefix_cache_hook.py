"""The hook that starts training at the first tuned layer."""

import hashlib
import os
import os.path as osp
import pickle
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.runner import _SlicedDataset
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmdavpt.checkpoints import read_torch, save_checkpoint
from mmdavpt.checkpoints.fingerprint import fingerprint
from mmdavpt.checkpoints.frozen import frozen_weights
from mmdavpt.engine.checked_pipeline import check_files_of
from mmdavpt.engine.resuming import seeding
from mmdavpt.engine.resuming.stopping import (
    ignore_signals_in_workers,
    shut_down_workers,
    stop_request_of,
)
from mmdavpt.errors import UsageError
from mmdavpt.mapping.loaders import batch_size_of, first_pass_loader
from mmdavpt.mapping.refresh_schedule import check_count
from mmdavpt.models.backbones import PrefixTokens, frozen_prefix
from mmdavpt.models.option_checks import check_choice
from mmdavpt.progress import track
from mmdavpt.randomness import isolated_randomness
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap


class CachedTokens(_SlicedDataset):
    """A training set whose batches are tokens of frozen layers.

    A batch of indices gives ``tokens``, (B, T, C), and ``data_samples`` as
    the data preprocessor made them. A single index gives the image.

    Args:
        dataset (Dataset): The training set.
        length (int): The number of its images ``N``.
        views (int): Augmented views of each image.

    Attributes:
        rows (dict[int, tuple[Tensor, bytes]]): Tokens, (T, C), and packed
            data sample of image ``i`` in view ``v``, under ``v N + i``.
    """

    def __init__(self, dataset: Dataset, length: int, views: int) -> None:
        super().__init__(dataset, length)
        self.views = views
        self.rows: dict[int, tuple[Tensor, bytes]] = {}

    def __getitems__(self, batch: Sequence[int] | seeding.SeededBatch) -> dict:
        """Return a batch.

        Args:
            batch (Sequence[int] | SeededBatch): Indices; with several views,
                of :class:`.SeededBatchSampler`, which knows the epoch.
        """
        epochs = [0] * len(batch)
        if self.views > 1:  # an endless sampler stays in its first epoch
            epochs = [batch.key[-1] + i // len(self) for i in batch.places]
        pairs = zip(epochs, getattr(batch, 'indices', batch), strict=True)
        rows = [self.rows[e % self.views * len(self) + i] for e, i in pairs]
        samples = [pickle.loads(zlib.decompress(packed)) for _, packed in rows]
        tokens = torch.stack([tokens for tokens, _ in rows])
        return dict(tokens=tokens, data_samples=samples)


@HOOKS.register_module()
class PrefixCacheHook(Hook):
    """Compute the frozen layers below the first tuned one once.

    Before training, one pass over the training set computes the tokens that
    enter the first layer with prompts, a tuner or another trained parameter;
    for a linear probe, those after the last layer. Training then reads these
    instead of images, with the same labels in the same order and batches.
    Layers after the first feature of a head are always computed. If the first
    layer is tuned, the hook does nothing.

    The images of an epoch should not differ from those of the others, unless
    ``views`` is above 1. Other hooks, validation and tests read images.

    Tokens are computed in batches of the training's size, since the last bits
    of a product may depend on its shape. In float32 a run then ends with the
    same bits as without the hook, if all its batches are full.

    Args:
        views (int): Augmented views of each image. Epoch ``e`` uses view
            ``e mod views``, which depends on the seed of the run, the image
            and the view. Defaults to 1: no transform may be random.
        dtype (str): Of the kept tokens, 'float32' or 'bfloat16', which takes
            half the space. Defaults to 'float32'.
        cache_dir (str, optional): A folder for files that are mapped into
            memory and shared by processes and runs. Each holds a batch. Its
            name is a digest of the frozen weights, the dtype, the images
            after transforms and normalization, and of the first tokens, bit
            for bit, which tell code and machines apart; so another of these
            makes new files. Defaults to None: each process keeps all tokens
            in memory.

    Raises:
        ValueError: If an argument is invalid.
    """

    # After hooks that read the images before training.
    priority = 'LOW'

    def __init__(
        self,
        views: int = 1,
        dtype: str = 'float32',
        cache_dir: str | None = None,
    ) -> None:
        name, dtypes = 'PrefixCacheHook: `{}`'.format, ('float32', 'bfloat16')
        check_count(name('views'), views, 1)
        check_choice(name('dtype'), dtype, dtypes)
        self.views = views
        self.dtype = getattr(torch, dtype)
        self.cache_dir = cache_dir

    def before_train(self, runner: Runner) -> None:
        """Fill the cache, and let the training loader read from it.

        Raises:
            UsageError: If the images or their tokens may differ between
                epochs, or if images differ in size.
        """
        model, loop = unwrap(runner.model), runner.train_loop
        loader = loop.dataloader
        self._check(model, loader)
        runner.model.train()
        patch = torch.zeros(1, 3, *model.backbone.patch_size)
        patch = patch.to(model.data_preprocessor.device)
        start = frozen_prefix(model.backbone, patch).start
        if start == 0:
            runner.logger.info(
                'PrefixCacheHook: the first layer is tuned, so there is '
                'nothing to gain, and training reads images.'
            )
            return
        context = runner.optim_wrapper.optim_context(runner.model)
        with isolated_randomness(runner.seed), context:
            cache, prefix = self._fill(runner, start)
        runner.logger.info(
            f'PrefixCacheHook: training starts after {start} layers, with '
            f'{len(cache.rows)} x {cache.rows[0][0].numel()} numbers.'
        )
        shut_down_workers(loop)
        options = dict(collate_fn=dict, pin_memory=loader.pin_memory)
        batches = loader.batch_sampler
        loop.dataloader = DataLoader(cache, batch_sampler=batches, **options)
        if hasattr(loop, 'dataloader_iterator'):
            kind = type(loop.dataloader_iterator)
            loop.dataloader_iterator = kind(loop.dataloader)
        original = model.data_preprocessor.forward
        model.data_preprocessor.forward = partial(_forward, original, prefix)

    def _check(self, model: nn.Module, loader: DataLoader) -> None:
        seeded = isinstance(loader.batch_sampler, seeding.SeededBatchSampler)
        why = None
        if not hasattr(getattr(model, 'backbone', None), 'layer_inputs'):
            why = 'a backbone of type DAVPTVisionTransformer or DAVPTTimmViT'
        elif getattr(model.data_preprocessor, 'batch_augments', None):
            why = 'images that are not mixed: no `train_cfg.augments`'
        elif self.views > 1 and not seeded:
            why = 'the loops of mmdavpt.DAVPTRunner for several views'
        if why:
            raise UsageError(f'PrefixCacheHook needs {why}; or remove it')

    def _fill(self, runner: Runner, start: int) -> tuple[CachedTokens, Any]:
        """Return the tokens of all ranks, and what they have in common."""
        model, stop = unwrap(runner.model), stop_request_of(runner)
        images = runner.train_dataloader
        chunks, batches = self._batches(images, seeding.seed_of_run(runner))
        length = len(batches.dataset)
        cache = CachedTokens(images.dataset, length, self.views)
        prefix, found, sizes = None, [], set()
        for rows, batch in zip(chunks, track(batches, 'tokens'), strict=True):
            sizes |= {tuple(image.shape[1:]) for image in batch['inputs']}
            if len(sizes) > 1:
                raise UsageError(
                    'PrefixCacheHook needs images of one size after the '
                    f'transforms, but got (height, width) {sorted(sizes)}; '
                    'resize them, or remove the hook'
                )
            data = model.data_preprocessor(batch, training=True)
            inputs, samples = data['inputs'], data['data_samples']
            compute = partial(frozen_prefix, model.backbone, inputs, start)
            if rows == chunks[0]:
                before, prefix = prefix, compute()
                if before and not torch.allclose(before.x, prefix.x, 1e-3):
                    raise UsageError(
                        'PrefixCacheHook needs the same tokens in all epochs, '
                        'but two passes over the first images differ: remove '
                        'random transforms and dropout in frozen layers'
                    )
                weights = frozen_weights(model.backbone)
                digest = fingerprint(weights | dict(tokens=prefix.x))
                key = f'{self.dtype} {digest.tolist()}'.encode()
            packed = [zlib.compress(pickle.dumps(s.cpu()), 1) for s in samples]
            name = hashlib.sha256(key + inputs.cpu().numpy().tobytes())
            tokens = self._keep(compute, f'{name.hexdigest()}.pth')
            found.append((rows, tokens, packed))
            if stop.signal:
                break
        stop.obey()
        for of_rank in all_gather_object(found) if self.cache_dir else [found]:
            for rows, tokens, packed in of_rank:
                if self.cache_dir:
                    tokens = read_torch(tokens, mmap=True)['tokens']
                pairs = zip(tokens, packed, strict=True)
                cache.rows.update(zip(rows, pairs, strict=True))
        return cache, prefix._replace(x=prefix.x[:0].clone())

    def _batches(
        self, images: DataLoader, seed: int
    ) -> tuple[list[range], DataLoader]:
        """Return this rank's rows, and a loader of their images."""
        loader = first_pass_loader(images, seed)
        dataset, fixed = loader.dataset, self.views == 1
        check_files_of(dataset, scored=True, fixed=fixed)
        total = len(dataset) * self.views
        size = min(batch_size_of(images), total)
        # Of one size, so the last one overlaps another.
        starts = [min(i, total - size) for i in range(0, total, size)]
        first, *others = [range(i, i + size) for i in starts]
        rank, world_size = get_dist_info() if self.cache_dir else (0, 1)
        # The first one twice, to see whether it is the same again.
        chunks = [first, first, *others[rank::world_size]]
        # Other numbers in each batch, if none should be drawn.
        keys = [(seed, seeding.VIEW, n * fixed) for n in range(len(chunks))]
        indices = [[row % len(dataset) for row in rows] for rows in chunks]
        batches = [*map(seeding.SeededBatch, indices, keys, chunks)]
        options = loader.num_workers, loader.collate_fn
        loader = DataLoader(dataset, 1, None, None, batches, *options)
        return chunks, ignore_signals_in_workers(loader)

    def _keep(self, compute: Callable, name: str) -> Tensor | str:
        """Return the tokens of a batch, or the file that holds them."""
        path = osp.join(self.cache_dir or '', name)
        if self.cache_dir and osp.exists(path):
            return path
        tokens = compute().x.to('cpu', self.dtype, copy=True)
        if self.cache_dir is None:
            return tokens
        # Other runs may write the same file at the same time.
        own = f'{path}.{os.getpid()}'
        save_checkpoint(dict(tokens=tokens), own)
        os.replace(own, path)
        return path


def _forward(
    forward: Callable, prefix: PrefixTokens, data: dict, training: bool = False
) -> dict:
    """Preprocess a batch of images, or one of tokens.

    Args:
        forward (Callable): That of the data preprocessor.
        prefix (PrefixTokens): What all tokens have in common.
        data (dict): The batch.
        training (bool): Whether it is for training. Defaults to False.
    """
    if 'tokens' not in data:
        return forward(data, training)
    data = forward.__self__.cast_data(data)
    tokens = prefix._replace(x=data['tokens'].to(prefix.x.dtype))
    return dict(inputs=tokens, data_samples=data['data_samples'])
