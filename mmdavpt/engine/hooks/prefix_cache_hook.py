"""The hook that starts training at the first tuned layer."""

import hashlib
import os
import os.path as osp
import pickle
import zlib
from collections.abc import Callable, Sequence
from functools import partial

import torch
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.runner import _SlicedDataset
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmdavpt.checkpoints import check_sums, read_torch, save_checkpoint
from mmdavpt.checkpoints.tuned import fingerprint, frozen_weights
from mmdavpt.engine.checked_pipeline import check_files_of
from mmdavpt.engine.resuming import seeding, stopping
from mmdavpt.errors import UsageError, check_choice, check_count
from mmdavpt.mapping.loaders import batch_size_of, training_images
from mmdavpt.models.backbones import PrefixTokens, frozen_prefix
from mmdavpt.progress import track
from mmdavpt.randomness import isolated_randomness
from mmdavpt.registry import HOOKS
from mmdavpt.unwrap import unwrap


class CachedTokens(_SlicedDataset):
    """A training set whose batches are tokens of frozen layers.

    A batch is a list as of images: ``inputs`` of each are tokens, (T, C), and
    ``data_samples`` is as the data preprocessor made it. A single index gives
    the image.

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

    def __getitems__(self, batch: Sequence[int]) -> list[dict]:
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
        pairs = zip(rows, samples, strict=True)
        return [dict(inputs=x, data_samples=s) for (x, _), s in pairs]


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
        #: That of the model, while it takes tokens.
        self._preprocessor: nn.Module | None = None

    def before_train(self, runner: Runner) -> None:
        """Fill the cache, and let the training loader read from it.

        Raises:
            UsageError: If the images or their tokens may differ between
                epochs, or if images differ in size.
        """
        model, loop = unwrap(runner.model), runner.train_loop
        loader, preprocessor = loop.dataloader, model.data_preprocessor
        self._check(model, loader)
        runner.model.train()
        patch = torch.zeros(1, 3, *model.backbone.patch_size)
        patch = patch.to(preprocessor.device)
        context = runner.optim_wrapper.optim_context(runner.model)
        with isolated_randomness(runner.seed), context:
            start = frozen_prefix(model.backbone, patch).start
            if start == 0:
                runner.logger.info(
                    'PrefixCacheHook: the first layer is tuned, so there is '
                    'nothing to gain, and training reads images.'
                )
                return
            cache = self._fill(runner, start)
        runner.logger.info(
            f'PrefixCacheHook: training starts after {start} layers, with '
            f'{len(cache.rows)} x {cache.rows[0][0].numel()} numbers.'
        )
        stopping.shut_down_workers(loop)
        batches, collate = loader.batch_sampler, loader.collate_fn
        options = batches, 0, collate, loader.pin_memory
        loop.dataloader = DataLoader(cache, 1, None, None, *options)
        if hasattr(loop, 'dataloader_iterator'):  # not iterating yet
            loop.dataloader_iterator._dataloader = loop.dataloader
        self._preprocessor = preprocessor
        preprocessor.forward = self._forward

    def after_train_epoch(self, runner: Runner) -> None:
        """Check that the frozen layers still give the same tokens.

        Raises:
            UsageError: If not: another hook changed or unfroze a layer.
        """
        if self._preprocessor:
            context = runner.optim_wrapper.optim_context(runner.model)
            with isolated_randomness(runner.seed), context:
                _check_same(self._prefix, self._recompute())

    def after_run(self, runner: Runner) -> None:
        """Let the data preprocessor take only images again."""
        if self._preprocessor:
            del self._preprocessor.forward
            self._preprocessor = None

    def _forward(self, data: dict, training: bool = False) -> dict:
        """Preprocess a batch of images, or one of tokens."""
        preprocessor = self._preprocessor
        if data['inputs'][0].dim() > 2:  # images
            return type(preprocessor).forward(preprocessor, data, training)
        tokens = torch.stack([*data['inputs']])
        data = preprocessor.cast_data(dict(data, inputs=tokens))
        tokens = data['inputs'].to(self._prefix.x.dtype)
        return dict(data, inputs=self._prefix._replace(x=tokens))

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

    def _fill(self, runner: Runner, start: int) -> CachedTokens:
        """Return the tokens of all ranks."""
        model, stop = unwrap(runner.model), stopping.stop_request_of(runner)
        images = runner.train_dataloader
        chunks, batches = self._batches(images, seeding.seed_of_run(runner))
        length = len(batches.dataset)
        cache = CachedTokens(images.dataset, length, self.views)
        first, found, sizes = None, [], set()
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
            if first is None:
                first = compute()
                weights = frozen_weights(model.backbone)
                digest = fingerprint(weights | dict(tokens=first.x))
                key = f'{self.dtype} {digest.tolist()}'.encode()
                one = inputs[:1].clone()
                again = partial(frozen_prefix, model.backbone, one, start)
                self._recompute, self._prefix = again, again()
            elif rows == chunks[0]:
                _check_same(first, compute())
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
                    check_sums(tokens)
                    tokens = read_torch(tokens, mmap=True)['tokens']
                pairs = zip(tokens, packed, strict=True)
                cache.rows.update(zip(rows, pairs, strict=True))
        return cache

    def _batches(
        self, images: DataLoader, seed: int
    ) -> tuple[list[range], DataLoader]:
        """Return this rank's rows, and a loader of their images."""
        dataset, fixed = training_images(images), self.views == 1
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
        options = images.num_workers, images.collate_fn
        loader = DataLoader(dataset, 1, None, None, batches, *options)
        return chunks, stopping.ignore_signals_in_workers(loader)

    def _keep(self, compute: Callable, name: str) -> Tensor | str:
        """Return the tokens of a batch, or the file that holds them."""
        path = osp.join(self.cache_dir or '', name)
        if not self.cache_dir or not osp.exists(path):
            tokens = compute().x.to('cpu', self.dtype, copy=True)
            if not self.cache_dir:
                return tokens
            # Other runs may write the same file at the same time.
            own = f'{path}.{os.getpid()}'
            save_checkpoint(dict(tokens=tokens), own)
            os.replace(own, path)
        return path


def _check_same(one: PrefixTokens, other: PrefixTokens) -> None:
    if one.start == other.start and torch.allclose(one.x, other.x, 1e-3):
        return
    raise UsageError(
        'PrefixCacheHook needs the same tokens in all epochs, but two passes '
        'over the first images differ: remove random transforms, dropout in '
        'frozen layers, and hooks that change or unfreeze these layers'
    )
