"""Report files that a dataset cannot read."""

from mmcv.transforms import LoadAnnotations
from mmengine.dataset import Compose
from mmengine.runner.runner import _SlicedDataset

from mmdavpt.datasets.image_files import UNDECODABLE, decodes, file_defect
from mmdavpt.errors import UsageError
from mmdavpt.randomness import generator_states


class CheckedPipeline(Compose):
    """The transforms of a dataset, with a check of the files they load.

    OpenCV fills a truncated JPEG with grey without an error, so the end of
    each file is checked before it is decoded.

    Args:
        pipeline (Compose): The transforms.
        fixed (bool): Whether a transform that draws a random number is an
            error. Defaults to False.
    """

    def __init__(self, pipeline: Compose, fixed: bool = False) -> None:
        super().__init__(None)
        self.fixed = fixed
        self.transforms = pipeline.transforms
        names = [type(transform).__name__ for transform in self.transforms]
        #: Key of what will be loaded, if it is absent -> key of its file.
        self._loaded = {}
        if any(name.startswith('LoadImage') for name in names):
            self._loaded['img'] = 'img_path'
        if any(isinstance(t, LoadAnnotations) for t in self.transforms):
            self._loaded['gt_seg_map'] = 'seg_map_path'

    def __call__(self, data: dict) -> dict | None:
        """Apply the transforms to a sample.

        Args:
            data (dict): The sample, as the dataset lists it.

        Returns:
            dict | None: The result of the transforms; None for a sample that
            they drop.

        Raises:
            UsageError: If a file of the sample is broken, or a transform is
                random and should not be.
        """
        files = self._files_of(data)
        for path in files:
            if why := file_defect(path):
                raise _broken(f'{path} {why}')
        try:
            return self._transform(data)
        except UsageError:  # such as a mask with an unexpected value
            raise
        except UNDECODABLE as error:
            for path in files:
                if not decodes(path):
                    raise _broken(f'{path} cannot be decoded') from error
            where = data.get('img_path', 'a sample without a file')
            why = f'the transforms fail on {where}: {error}'
            raise RuntimeError(why) from error

    def _transform(self, data: dict) -> dict | None:
        """Apply the transforms; compare the size of labels when they load.

        Later, resizing or cropping may give both the same size.
        """
        loaded = 'gt_seg_map' in data  # by the dataset itself
        for transform in self.transforms:
            before = self.fixed and generator_states()
            data = transform(data)
            if self.fixed and generator_states() != before:
                raise UsageError(
                    'the images of all epochs should be the same, but the '
                    f'transform {type(transform).__name__} is random; remove '
                    'it, or see `views` of PrefixCacheHook'
                )
            if data is None:
                return None
            if not loaded and 'gt_seg_map' in data and 'ori_shape' in data:
                _check_size(data)
                loaded = True
        return data

    def _files_of(self, data: dict) -> list[str]:
        """Return the local files that the transforms load for a sample."""
        missing = [key for key in self._loaded if key not in data]
        paths = [data.get(self._loaded[key]) for key in missing]
        return [p for p in paths if isinstance(p, str) and '://' not in p]


def _broken(file: str) -> UsageError:
    """Return the error for a broken file."""
    return UsageError(
        f'{file}; copy it again, or remove it from the dataset; `mmdavpt '
        'check CONFIG --data-only` lists all broken files'
    )


def _check_size(data: dict) -> None:
    """Raise if loaded labels have another size than the image file."""
    size, expected = (
        '{1}×{0}'.format(*shape[:2])
        for shape in (data['gt_seg_map'].shape, data['ori_shape'])
    )
    if size != expected:
        raise UsageError(
            f'the labels {data.get("seg_map_path", "")} have {size} pixels, '
            f'but their image {data.get("img_path", "")} has {expected}: '
            'check both files'
        )


def check_files_of(
    dataset: object, scored: bool = False, fixed: bool = False
) -> None:
    """Let a dataset check the files it loads, also inside wrappers.

    Args:
        dataset (Dataset): Changed in place, before a loader iterates over it.
            Datasets without a pipeline of mmengine are left as they are.
        scored (bool): Whether a sample that its transforms drop is an error,
            instead of replaced by a random other one, as mmengine does unless
            ``test_mode`` is set. Defaults to False.
        fixed (bool): See :class:`CheckedPipeline`. Defaults to False.
    """
    if isinstance(dataset, _SlicedDataset):
        # It forwards reading attributes, but not setting them.
        dataset = dataset._dataset
    several = getattr(dataset, 'datasets', ())
    for inner in (getattr(dataset, 'dataset', None), *several):
        if inner is not None:
            check_files_of(inner, scored, fixed)
    pipeline = getattr(dataset, 'pipeline', None)
    if isinstance(pipeline, Compose) and not hasattr(dataset, 'dataset'):
        dataset.pipeline = CheckedPipeline(pipeline, fixed)
        dataset.test_mode = scored or getattr(dataset, 'test_mode', False)
