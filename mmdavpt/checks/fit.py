"""Check that weights, classes, losses and guidance fit each other."""

import os.path as osp
from collections.abc import Iterator

import torch
from mmengine.config import Config
from mmpretrain.models import MultiLabelClsHead
from torch import nn

from mmdavpt.engine import class_counts

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
    datasets = [loop.dataloader.dataset for loop in loops if loop]
    metas = [*map(class_counts.metainfo_of, datasets)]
    if defect := class_counts.label_defect(metas[0], metas[-1]):
        yield defect
    if len({meta.get('reduce_zero_label') for meta in metas} - {None}) > 1:
        yield (
            'reduce_zero_label differs between training and validation, so '
            'the labels of one are shifted by one; set the same for both'
        )
    classes = metas[0].get('classes')
    heads = class_counts.classes_of_heads(dry.model)
    # Without guidance, a head may have classes that the data lacks.
    guided = getattr(dry.model, 'guidance', None) is not None
    fewest = 0 if guided else min(heads.values(), default=0)
    if classes is not None and fewest < len(classes):
        if defect := class_counts.class_count_defect(heads, len(classes)):
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


def wrong_losses(cfg: Config, dry: DryRunner) -> Iterator[str]:
    """Yield losses that are not smaller for right than for wrong labels.

    Some losses of MMSegmentation are for other outputs than a head has, and
    train without an error.
    """
    heads = class_counts.heads_of(dry.model)
    for path in class_counts.classes_of_heads(dry.model):
        losses = getattr(heads[path], 'loss_decode', ())
        if not isinstance(losses, (nn.ModuleList, tuple)):
            losses = [losses]
        for loss in losses:
            try:
                right, wrong = _values(loss, heads[path])
            except Exception:  # the rehearsal says why
                continue
            if right >= wrong:
                yield (
                    f'{type(loss).__name__} of `model.{path}` is {right:.3g} '
                    f'for right labels and {wrong:.3g} for wrong ones with '
                    f'out_channels={heads[path].out_channels}; use another '
                    'loss, such as CrossEntropyLoss with use_sigmoid=True, or '
                    'remove out_channels=1'
                )


def _values(loss: nn.Module, head: nn.Module) -> list[float]:
    """Return a loss for right and for wrong logits."""
    # A softmax over one channel fails for other labels than 0.
    labels = torch.full((1, 8, 8), int(head.ignore_index == 0))
    channels = max(head.out_channels, 2)
    logits = nn.functional.one_hot(labels, channels).movedim(-1, 1) * 8.0 - 4
    logits = logits[:, -head.out_channels :]
    ignored = dict(weight=None, ignore_index=head.ignore_index)
    both = (loss(x, labels, **ignored) for x in (logits, -logits))
    return [value.mean().item() for value in both]
