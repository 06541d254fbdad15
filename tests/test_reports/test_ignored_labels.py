"""Loss, metric and data ignore the same labels, and losses fit their head.

What MMSegmentation trains or scores without an error; rows 1 and 6 of public
reports are of this kind.
"""

import pytest
from mmengine.config import Config

from mmdavpt.cli.evaluation import use_tta
from mmdavpt.engine.runner import DAVPTRunner

from . import runs

SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)
ONE = {
    'model.decode_head.out_channels': 1,
    'model.decode_head.threshold': 0.5,
}
LOSS = 'model.decode_head.loss_decode'


def segmentation(folder, changes, classes='ab'):
    return runs.segmentation(folder / 'masks', changes, [*classes])


@pytest.mark.parametrize(
    'changes, said',
    [
        (
            {'val_evaluator.ignore_index': 0},
            'IoUMetric of `val_evaluator` ignores label 0, but the head 255',
        ),
        (
            {'model.decode_head.ignore_index': 0},
            '`data_preprocessor.seg_pad_val` is 255, but',
        ),
        (
            {
                'model.decode_head.ignore_index': 0,
                'model.auxiliary_head.0.ignore_index': 0,
                'model.data_preprocessor.seg_pad_val': 0,
            },
            'ignores label 255, but the head 0; set val_evaluator.ignore_ind',
        ),
        # It trains the opposite.
        (
            {**ONE, LOSS: dict(type='DiceLoss')},
            'DiceLoss .*channels=1',
        ),
        ({**ONE, LOSS: [SIGMOID, dict(type='DiceLoss')]}, 'DiceLoss of'),
        # Its loss is always 0.
        ({**ONE, LOSS: dict(type='TverskyLoss')}, 'TverskyLoss of .* is 0 '),
        ({**ONE, LOSS: SIGMOID}, None),
        ({LOSS: dict(type='TverskyLoss')}, None),
    ],
)
def test_segmentation(changes, said, tmp_path):
    sentence = runs.sentence(segmentation(tmp_path, changes))
    with pytest.raises(AssertionError, match=said or '^$'):
        raise AssertionError(sentence)


@pytest.mark.parametrize('tta', [False, True])
@pytest.mark.parametrize('task', ['cls', 'seg'])
def test_scored_labels_are_in_range(task, tta, tmp_path):
    """IoUMetric counts the predictions on other labels as mistakes."""
    if task == 'seg':
        cfg = Config(runs.segmentation(runs.masks(tmp_path / 'masks')))
        cfg.test_dataloader.dataset.data_root = str(
            runs.masks(tmp_path / 'other', values=(0, 1, 7))
        )
        said = '0.png: .*7'
    else:
        folder = runs.photos(tmp_path / 'photos')
        (folder / 'list.txt').write_text('red/0.png 7')
        cfg = Config(runs.classification(folder))
        cfg.test_dataloader.dataset.ann_file = str(folder / 'list.txt')
        said = 'red/0.png should have exactly one .*7'
    cfg.custom_hooks = [dict(type='mmdavpt.TrainingCheckHook')]
    if tta:
        cfg.tta_pipeline = runs.tta_pipeline(task)
        use_tta(cfg)
    with pytest.raises(ValueError, match=said):
        DAVPTRunner.from_cfg(cfg).test()
