"""Report images that cannot be read, or replace their samples."""

from collections.abc import Iterable
from typing import Any

from mmcv.transforms import LoadAnnotations
from mmengine.dataset import Compose
from mmengine.runner.runner import _SlicedDataset

from mmdavpt.datasets.image_files import UNDECODABLE, decodes, file_defect
from mmdavpt.errors import UsageError

#: Metainfo key that lists replaced files.
REPLACED = 'replaced_files'


class CheckedPipeline(Compose):
    """The transforms of a dataset, with a check of the files they load.

    OpenCV fills a truncated JPEG with grey without an error, so the end of
    each file is checked before it is decoded.

    Args:
        pipeline (Compose): The transforms.
        replace (bool): Whether to replace a sample with a broken file by
            another one of the dataset, drawn at random, whose metainfo
            ``replaced_files`` lists the file. Defaults to False: raise.
    """

    def __init__(self, pipeline: Compose, replace: bool = False) -> None:
        super().__init__(None)
        self.transforms = pipeline.transforms
        self.replace = replace
        names = [type(transform).__name__ for transform in self.transforms]
        #: Key of what will be loaded, if it is absent -> key of its file.
        self._loaded = {}
        if any(name.startswith('LoadImage') for name in names):
            self._loaded['img'] = 'img_path'
        if any(isinstance(t, LoadAnnotations) for t in self.transforms):
            self._loaded['gt_seg_map'] = 'seg_map_path'
        self._pending: list[str] = []

    def __call__(self, data: dict) -> dict | None:
        """Apply the transforms to a sample.

        Args:
            data (dict): The sample, as the dataset lists it.

        Returns:
            dict | None: The result of the transforms; None for a sample that
            the dataset has to replace.

        Raises:
            UsageError: If a file of the sample is broken.
        """
        files = self._files_of(data)
        found = ((path, file_defect(path)) for path in files)
        broken = next((f'{path} {why}' for path, why in found if why), None)
        if broken:
            return self._handle(broken)
        try:
            result = self._transform(data)
        except UsageError:  # such as a mask with an unexpected value
            raise
        except UNDECODABLE as error:
            broken = next((path for path in files if not decodes(path)), None)
            if broken:
                return self._handle(f'{broken} cannot be decoded')
            where = data.get('img_path', 'a sample without a file')
            raise RuntimeError(
                f'the transforms fail on {where}: {error}'
            ) from error
        if result is not None and self._pending:
            result['data_samples'].set_metainfo({REPLACED: self._pending})
            self._pending = []
        return result

    def _transform(self, data: dict) -> dict | None:
        """Apply the transforms; compare the size of labels when they load.

        Later, resizing or cropping may give both the same size.
        """
        loaded = 'gt_seg_map' in data  # by the dataset itself
        for transform in self.transforms:
            data = transform(data)
            if data is None:
                return None
            if not loaded and 'gt_seg_map' in data and 'ori_shape' in data:
                _check_size(data)
                loaded = True
        return data

    def _files_of(self, data: dict) -> list[str]:
        """Return the local files that the transforms load for a sample."""
        paths = [
            data.get(path_key)
            for key, path_key in self._loaded.items()
            if key not in data
        ]
        return [p for p in paths if isinstance(p, str) and '://' not in p]

    def _handle(self, broken: str) -> None:
        """Note a broken file, or raise if it may not be replaced."""
        if not self.replace:
            raise UsageError(
                f'{broken}; copy it again, or remove it from the dataset; '
                'TrainingCheckHook(max_broken_files=N) tolerates up to N '
                'broken files of the training set'
            )
        self._pending = [*self._pending, broken]


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


def check_files_of(dataset: Any, replace: bool, scored: bool = False) -> None:
    """Let a dataset check the files it loads, also inside wrappers.

    Args:
        dataset (Dataset): Changed in place, before a loader iterates over it.
            Datasets without a pipeline of mmengine are left as they are.
        replace (bool): See :class:`CheckedPipeline`.
        scored (bool): Whether a sample that its transforms drop is an error,
            instead of replaced by a random other one, as mmengine does unless
            ``test_mode`` is set. Defaults to False.
    """
    if isinstance(dataset, _SlicedDataset):
        # It forwards reading attributes, but not setting them.
        dataset = dataset._dataset
    for inner in (
        getattr(dataset, 'dataset', None),
        *getattr(dataset, 'datasets', ()),
    ):
        if inner is not None:
            check_files_of(inner, replace, scored)
    pipeline = getattr(dataset, 'pipeline', None)
    if isinstance(pipeline, Compose) and not hasattr(dataset, 'dataset'):
        dataset.pipeline = CheckedPipeline(pipeline, replace)
        dataset.test_mode = scored or getattr(dataset, 'test_mode', False)


def replaced_files(data_samples: Iterable[Any]) -> list[str]:
    """Return the broken files that samples of a raw batch replace.

    Args:
        data_samples (Iterable[BaseDataElement]): The samples.
    """
    return [
        file
        for sample in data_samples
        for file in sample.get(REPLACED, None) or ()
    ]
