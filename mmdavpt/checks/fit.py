"""Check that weights, classes and guidance fit each other."""

import os.path as osp
from collections.abc import Iterator

from mmengine.config import Config
from mmpretrain.models import MultiLabelClsHead

from mmdavpt.engine.class_counts import (
    class_count_defect,
    classes_of_heads,
    label_defect,
    metainfo_of,
)

from .build import DryRunner
from .data.list_findings import class_list_findings
from .introspection import walk


def class_mismatches(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield classes that differ between lists, datasets and heads."""
    # A blank line in a list of classes would explain all other mismatches.
    for split in ('train', 'val', 'test'):
        node = cfg.get(f'{split}_dataloader')
        for finding in class_list_findings(node, split):
            if finding.severity == 'error':
                yield finding.sentence
    loops = [dry.train_loop, dry.val_loop, dry.test_loop]
    metas = [metainfo_of(loop.dataloader.dataset) for loop in loops if loop]
    if defect := label_defect(metas[0], metas[-1]):
        yield defect
    if len({meta.get('reduce_zero_label') for meta in metas} - {None}) > 1:
        yield (
            'reduce_zero_label differs between training and validation, so '
            'the labels of one are shifted by one; set the same for both'
        )
    classes, heads = metas[0].get('classes'), classes_of_heads(dry.model)
    # Without guidance, a head may have classes that the data lacks.
    guided = getattr(dry.model, 'guidance', None) is not None
    fewest = 0 if guided else min(heads.values(), default=0)
    if classes is not None and fewest < len(classes):
        if defect := class_count_defect(heads, len(classes)):
            yield defect


def guided_label_lists(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield guidance of a model that predicts several classes per image."""
    head = getattr(dry.model, 'head', None)
    if cfg.model.get('guidance') and isinstance(head, MultiLabelClsHead):
        yield (
            'guidance needs one class per image, but `model.head` predicts '
            'several; set model.guidance=None'
        )


def missing_weights(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield pre-trained weights in local files that do not exist."""
    for path, node in walk(cfg.model, 'model'):
        file = str(node.get('checkpoint'))
        missing = '://' not in file and not osp.isfile(osp.expanduser(file))
        if node.get('type') == 'Pretrained' and missing:
            yield (
                f'the pre-trained weights {file} do not exist; '
                'docs/weights.md lists what can be loaded; to name another '
                f'file, use --cfg-options {path}.checkpoint=FILE'
            )
