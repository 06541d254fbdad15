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
from mmdavpt.engine.hooks import PromptMappingHook

from .build import DryRunner
from .data.list_findings import class_list_findings
from .introspection import walk


def find_mismatches(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield a sentence for each mismatch.

    Args:
        cfg (Config): The merged config.
        dry (DryRunner): Its parts.
    """
    loops = [dry.train_loop, dry.val_loop, dry.test_loop]
    metas = [metainfo_of(loop.dataloader.dataset) for loop in loops if loop]
    classes = metas[0].get('classes')
    # A blank line in a list of classes would explain all other mismatches.
    lists = [
        finding.sentence
        for split in ('train', 'val', 'test')
        for finding in class_list_findings(
            cfg.get(f'{split}_dataloader'), split
        )
        if finding.severity == 'error'
    ]
    defects = [*lists, label_defect(metas[0], metas[-1])]
    if len({meta.get('reduce_zero_label') for meta in metas} - {None}) > 1:
        defects.append(
            'reduce_zero_label differs between training and validation, so '
            'the labels of one are shifted by one; set the same for both'
        )
    heads = classes_of_heads(dry.model)
    guided = getattr(dry.model, 'guidance', None) is not None
    # Without guidance, a head may have classes that the data lacks.
    fewest = 0 if guided else min(heads.values(), default=0)
    if classes is not None and fewest < len(classes):
        defects.append(class_count_defect(heads, len(classes)))
    yield from filter(None, defects)
    if dry.train_loop is not None:
        yield from missing_weights(cfg)
    if dry.train_loop is None or not guided:
        return
    if not any(isinstance(h, PromptMappingHook) for h in dry.hooks):
        yield (
            'the guided model needs a hook for its class-to-prompt mapping; '
            "add dict(type='mmdavpt.PromptMappingHook') to `custom_hooks`, or "
            'set model.guidance=None'
        )
    if isinstance(getattr(dry.model, 'head', None), MultiLabelClsHead):
        yield (
            'guidance needs one class per image, but `model.head` predicts '
            'several; set model.guidance=None'
        )


def missing_weights(cfg: Config) -> Iterator[str]:
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
