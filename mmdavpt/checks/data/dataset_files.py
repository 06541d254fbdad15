"""Datasets built without a pipeline, to look at the files they list."""

import copy
import inspect
from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset

from mmdavpt.checks.fit import is_local
from mmdavpt.checks.introspection import argument_names, find_types, walk
from mmdavpt.datasets.sample_check import SampleCheck
from mmdavpt.errors import UsageError

from .dataset_places import raise_missing, reads_labels


def class_of(node: dict, scope: str) -> Any:
    """Return the class or function that a config's ``type`` stands for.

    Args:
        node (dict): A part of a config.
        scope (str): The default scope of the config.

    Returns:
        type | Any: None if there is no type or no registry knows it.
    """
    if 'type' not in node:
        return None
    return next(iter(find_types(node['type'], scope)), None)


def lists_by_itself(kind: Any) -> bool:
    """Return whether a dataset is a reader of this package.

    It knows its default folder and says itself, in a sentence, what is
    missing there.

    Args:
        kind (type | Any): What the dataset's ``type`` stands for.
    """
    return inspect.isclass(kind) and any(
        'load_data_list' in vars(cls)
        for cls in kind.__mro__
        if cls.__module__.startswith('mmdavpt.')
    )


def reads_text_only(kind: Any) -> bool:
    """Return whether building a dataset reads no more than lists.

    Args:
        kind (type | Any): What its ``type`` stands for.

    Returns:
        bool: False for what is no dataset of mmengine's kind, and for those
        that hold their images in memory: they can download them.
    """
    return _is_dataset(kind) and not _downloads(kind)


def build_without_pipeline(
    path: str, dataset: dict, scope: str
) -> BaseDataset:
    """Build a dataset to look at what it lists; it downloads nothing.

    Args:
        path (str): Path of the dataset in the config.
        dataset (dict): Its config, and not that of a wrapper.
        scope (str): The default scope of the config.

    Raises:
        UsageError: If it cannot be built, or is no dataset of mmengine's
            kind.
    """
    kind = class_of(dataset, scope)
    if not _is_dataset(kind):
        raise UsageError(
            f'{path} should be a dataset of mmengine to be looked into, but '
            f'its type is {dataset.get("type")!r}'
        )
    arguments = _arguments(dataset)
    arguments.update(pipeline=[], lazy_init=False)
    if _downloads(kind):
        arguments['download'] = False
    # It is read once, and an empty list cannot be serialised.
    if 'serialize_data' in (argument_names(kind)):
        arguments['serialize_data'] = False
    try:
        return kind(**arguments)
    except FileNotFoundError as error:
        if error.filename is None:
            raise UsageError(f'{path}: {error}') from error
        raise_missing(path, error.filename)
    except UsageError as error:
        raise UsageError(f'{path}: {error}') from error
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise UsageError(
            f'{path} cannot be read ({reason}); check its lists and folders'
        ) from error


def _arguments(node: dict) -> dict:
    """Return what a config passes to its type."""
    builders = ('type', '_scope_')
    return copy.deepcopy({k: v for k, v in node.items() if k not in builders})


def _is_dataset(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, BaseDataset)


def _downloads(kind: type) -> bool:
    return 'download' in (argument_names(kind))


def listed_samples(dataset: BaseDataset) -> list[dict]:
    """Return what a dataset lists, one dict a sample.

    Args:
        dataset (BaseDataset): Built without a pipeline.

    Returns:
        List[dict]: With ``img_path`` and labels; empty if the dataset draws
        its images, or holds them in memory, or reads them from elsewhere.
    """
    if not len(dataset):
        return []
    first = dataset.get_data_info(0)
    if 'img' in first or not is_local(first.get('img_path', '://')):
        return []
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def loader_of(dataset: dict, scope: str, what: str) -> Any:
    """Return the transform that loads images or annotations for a dataset.

    Args:
        dataset (dict): The config of the dataset.
        scope (str): The default scope of the config.
        what (str): 'LoadImage' or 'LoadAnnotations': what the name of its
            type begins with.

    Returns:
        BaseTransform | None: None if the pipeline has none.
    """
    for _, node in walk(dataset.get('pipeline')):
        name = str(node.get('type')).rpartition('.')[2]
        kind = class_of(node, scope) if name.startswith(what) else None
        if kind is not None:
            return kind(**_arguments(node))
    return None


def head_of(cfg: dict) -> dict:
    """Return the config of the head that learns the labels.

    Args:
        cfg (dict): The config.

    Returns:
        dict: Of several in a cascade the last; empty if there is none.
    """
    model = cfg.get('model') or {}
    head = model.get('decode_head') or model.get('head') or {}
    head = head[-1] if isinstance(head, (list, tuple)) else head
    # `model.num_classes` is the class count of heads that set none.
    if 'num_classes' in model:
        head = {'num_classes': model['num_classes'], **head}
    return head


def sample_check(cfg: dict, path: str, dataset: dict) -> SampleCheck:
    """Return the check of the samples of a dataset.

    Args:
        cfg (dict): The config.
        path (str): Path of the dataset in it.
        dataset (dict): The config of the dataset, not of a wrapper.

    Raises:
        UsageError: If the dataset cannot be built, or lists nothing.
    """
    scope, head = cfg.get('default_scope', 'mmengine'), head_of(cfg)
    built = build_without_pipeline(path, dataset, scope)
    if not len(built):
        raise UsageError(
            f'{path} should list images, but lists none; check its '
            'data_root, data_prefix, ann_file and indices'
        )
    classes = built.metainfo.get('classes')
    return SampleCheck(
        samples=listed_samples(built),
        load_image=loader_of(dataset, scope, 'LoadImage')
        or LoadImageFromFile(),
        load_labels=loader_of(dataset, scope, 'LoadAnnotations')
        if reads_labels(dataset)
        else None,
        num_classes=head.get('num_classes')
        if classes is None
        else len(classes),
        ignore_index=head.get('ignore_index', 255),
    )
