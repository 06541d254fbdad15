"""Labels keep their meaning from the files to the names of predictions."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain import ImageClassificationInferencer
from mmseg.datasets import BaseSegDataset
from PIL import Image

from . import runs
from .commands import refusal, start, trained


@pytest.mark.parametrize('part', ['metric', 'head'])
def test_top_5_of_three_classes(tmp_path, capsys, part):
    """`selected index k out of range` [mmpretrain #667, #810]."""
    cfg = runs.classification(runs.photos(tmp_path / 'data'))
    expected = 'Top-5 accuracy is unavailable since the number of categories'
    if part == 'metric':
        cfg['val_evaluator'] = dict(type='Accuracy', topk=(1, 5))
    else:
        cfg['model']['head'].update(topk=(1, 5), cal_acc=True)
    assert expected in refusal(capsys, 'train', cfg, tmp_path)


def test_folders_with_numbers(tmp_path):
    """Class 10 is sorted before class 2 [torchvision #714].

    The number of a class is its place; names of predictions are folders.
    """
    names = ('1', '2', '10')
    folder = runs.photos(tmp_path / 'data', names=names)
    cfg = runs.classification(folder, {'train_cfg.max_epochs': 6}, names)
    cfg['test_pipeline'] = [runs.LOAD, dict(type='PackInputs')]
    runner = trained(cfg, 'numbers')
    assert list(runner.train_dataloader.dataset.CLASSES) == ['1', '10', '2']
    Config(cfg).dump(tmp_path / 'config.py')
    init_default_scope('mmpretrain')
    predict = ImageClassificationInferencer(
        str(tmp_path / 'config.py'),
        str(tmp_path / 'run_data/epoch_6.pth'),
        device='cpu',
    )
    images = [str(folder / name / '0.png') for name in names]
    assert [p['pred_class'] for p in predict(images)] == list(names)


class LettersDataset(BaseSegDataset):
    """Labels 1 to 4 are the letters, 0 is unlabelled."""

    METAINFO = dict(classes=tuple('abcd'), palette=[[k] * 3 for k in range(4)])


def test_some_classes_of_a_dataset_without_label_0(tmp_path):
    """A subset of classes is renumbered before label 0 is dropped.

    As in [mmseg #320, #2500]. Other classes are ignored.
    """
    Image.fromarray(np.zeros((2, 5, 3), np.uint8)).save(tmp_path / 'x.jpg')
    labels = np.array([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]], np.uint8)
    Image.fromarray(labels).save(tmp_path / 'x.png')
    init_default_scope('mmseg')
    dataset = LettersDataset(
        data_prefix=dict(img_path=str(tmp_path), seg_map_path=str(tmp_path)),
        metainfo=dict(classes=('c', 'a')),
        reduce_zero_label=True,
        pipeline=[runs.LOAD, runs.ANNOTATIONS, runs.PACK],
    )
    found = dataset[0]['data_samples'].gt_sem_seg.data[0].tolist()
    assert found == [[255, 1, 255, 0, 255], [255, 0, 255, 1, 255]]


def test_a_checkpoint_of_other_classes(tmp_path, capsys):
    """A head of another size is left random in silence [mmseg #2156]."""
    cfg = runs.classification(runs.photos(tmp_path / 'data'))
    trained(cfg, 'three')
    names = ('blue', 'green')
    two = runs.classification(
        runs.photos(tmp_path / 'two', names=names), names=names
    )
    two['load_from'] = str(tmp_path / 'run_data/epoch_2.pth')
    said = refusal(capsys, 'train', two, tmp_path)
    assert 'mismatched shape of head.fc.weight, head.fc.bias' in said
    two['load_allowed'] = ['head.*']
    start('train', two, tmp_path)
    assert (tmp_path / 'run_two/epoch_2.pth').exists()


def test_masks_saved_as_jpeg(tmp_path, capsys):
    """Compression makes new labels, and an index error [mmseg #1338]."""
    folder = runs.masks(tmp_path / 'masks')
    for path in folder.glob('labels/*.png'):
        labels = np.array(Image.open(path))
        Image.fromarray(labels * 100).save(path.with_suffix('.jpg'))
    cfg = runs.segmentation(folder)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader']['dataset']['seg_map_suffix'] = '.jpg'
    said = refusal(capsys, 'train', cfg, tmp_path)
    assert 'JPEG changes the labels of 4 label files' in said
    assert 'save the originals as PNG' in said


@pytest.mark.parametrize('guided', [False, True])
def test_an_image_without_labelled_pixels(tmp_path, guided):
    """The loss of ignored pixels alone is 0 / 0 [mmseg #1409]."""
    folder = runs.masks(tmp_path / 'masks')
    for path in folder.glob('labels/*.png'):
        Image.fromarray(np.full((32, 40), 255, np.uint8)).save(path)
    cfg = runs.segmentation(folder)
    cfg['train_dataloader']['batch_size'] = 1
    if guided:
        for path in list(folder.glob('labels/*.png'))[:2]:
            labels = np.arange(1280, dtype=np.uint16).reshape(32, 40) % 3
            Image.fromarray(labels.astype(np.uint8)).save(path)
        loss = dict(type='mmdavpt.DAVPTLoss', token_weight=0.1, cls_weight=0.1)
        cfg['model']['guidance'] = dict(guided_layers=(-1,), loss=loss)
        cfg['custom_hooks'] = [dict(type='mmdavpt.PromptMappingHook')]
    runner = trained(cfg, f'ignored_{guided}')
    hub = runner.message_hub
    assert torch.isfinite(
        torch.tensor(hub.get_scalar('train/loss')._log_history[0])
    ).all()
    state = runner.model.state_dict().values()
    assert all(torch.isfinite(value.float()).all() for value in state)
