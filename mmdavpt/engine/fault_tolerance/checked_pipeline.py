"""Naming, and on request replacing, images that cannot be read."""

from typing import Any, Callable, List, Optional, Tuple

from mmengine.dataset import Compose
from mmengine.runner.runner import _SlicedDataset

from mmdavpt.datasets.image_files import decodes, file_defect
from mmdavpt.datasets.sample_check import UNDECODABLE
from mmdavpt.errors import UsageError

#: Where a sample that stands for others names them.
REPLACED = 'replaced_files'


class CheckedPipeline(Compose):
    """The transforms of a dataset, which name a file that is broken.

    OpenCV fills a truncated JPEG with grey and says nothing, so the end of
    each file is looked at before it is decoded.

    Args:
        pipeline (Compose): The transforms.
        replace (bool): Whether a sample with a broken file is replaced by
            another one of the dataset, drawn at random, which then names the
            file in its ``replaced_files``. Defaults to False: it is an error.
    """

    def __init__(self, pipeline: Compose, replace: bool = False) -> None:
        super().__init__(None)
        self.transforms = pipeline.transforms
        self.replace = replace
        names = [type(transform).__name__ for transform in self.transforms]
        #: What is not there yet, and so will be loaded, to where it lies.
        self._loaded = {}
        if any(name.startswith('LoadImage') for name in names):
            self._loaded['img'] = 'img_path'
        if any('Annotation' in name for name in names):
            self._loaded['gt_seg_map'] = 'seg_map_path'
        self._pending: List[str] = []

    def __call__(self, data: dict) -> Optional[dict]:
        """Apply the transforms to a sample.

        Args:
            data (dict): The sample, as the dataset lists it.

        Returns:
            dict | None: What the transforms give; None for a sample that is
            to be replaced.

        Raises:
            UsageError: If a file of the sample is broken.
        """
        files = self._files_of(data)
        broken = _first(files, file_defect)
        if broken is not None:
            return self._without(*broken)
        try:
            result = super().__call__(data)
        except UNDECODABLE as error:
            broken = _first(files, _undecodable)
            if broken is not None:
                return self._without(*broken)
            where = data.get('img_path', 'a sample without a file')
            raise RuntimeError(
                f'the transforms fail on {where}: {error}'
            ) from error
        if result is not None and self._pending:
            result['data_samples'].set_metainfo({REPLACED: self._pending})
            self._pending = []
        return result

    def _files_of(self, data: dict) -> List[str]:
        """Return the local files that the transforms load for a sample."""
        places = [
            data.get(place)
            for key, place in self._loaded.items()
            if key not in data
        ]
        return [p for p in places if isinstance(p, str) and '://' not in p]

    def _without(self, path: str, defect: str) -> None:
        if not self.replace:
            raise UsageError(
                f'{path} {defect}; copy it again, or leave it out; '
                'TrainingCheckHook(max_broken_files=N) replaces samples with '
                'up to N broken files of the training set'
            )
        self._pending = [*self._pending, f'{path} {defect}']


def _first(
    files: List[str], defect_of: Callable[[str], Optional[str]]
) -> Optional[Tuple[str, str]]:
    """Return the first file with a defect, and the defect."""
    return next(
        (
            (path, defect)
            for path in files
            if (defect := defect_of(path)) is not None
        ),
        None,
    )


def _undecodable(path: str) -> Optional[str]:
    return None if decodes(path) else 'cannot be decoded'


def watch(dataset: Any, replace: bool) -> None:
    """Let a dataset name its broken files, also inside wrappers.

    Args:
        dataset (Dataset): Changed in place, before a loader iterates over it.
            What draws its images, or has other than mmengine's pipelines, is
            left as it is.
        replace (bool): See :class:`CheckedPipeline`.
    """
    if isinstance(dataset, _SlicedDataset):
        # It gives what its dataset has, and keeps what it is given.
        dataset = dataset._dataset
    for inner in (
        getattr(dataset, 'dataset', None),
        *getattr(dataset, 'datasets', ()),
    ):
        if inner is not None:
            watch(inner, replace)
    pipeline = getattr(dataset, 'pipeline', None)
    if isinstance(pipeline, Compose) and not hasattr(dataset, 'dataset'):
        dataset.pipeline = CheckedPipeline(pipeline, replace)


def replaced_files(data_samples: Any) -> List[str]:
    """Return the broken files that samples of a batch stand for.

    Args:
        data_samples (Sequence[BaseDataElement]): Of the raw batch.
    """
    return [
        named
        for sample in data_samples
        for named in sample.get(REPLACED, None) or ()
    ]
