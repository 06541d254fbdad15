"""Predictions and scores do not depend on names, batches or colour order."""

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain import ImageClassificationInferencer
from mmseg.apis import MMSegInferencer
from PIL import Image

from mmdavpt.engine.hooks.distinct_names_hook import distinct_names
from mmdavpt.engine.runner import DAVPTTestRunner

from . import runs
from .commands import start, trained


def scores_of(cfg, name):
    """Return the scores of a test with random weights."""
    cfg = Config(dict(cfg, experiment_name=name))
    runner = DAVPTTestRunner.from_cfg(cfg)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in runner.model.parameters():
            value.add_(torch.randn(value.shape, generator=generator) / 5)
    return runner.test(), runner.model


@pytest.fixture
def photos(tmp_path):
    return runs.classification(runs.photos(tmp_path / 'data', number=5))


def saved(model, path):
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


@pytest.mark.parametrize(
    ('paths', 'names'),
    [
        (['x/a.jpg', 'x/b.jpg'], []),
        (['x/red/0.jpg', 'x/blue/0.jpg'], ['red_0.png', 'blue_0.png']),
        (['a.jpg', 'a.tif', 'b.jpg'], ['0_a.png', '1_a.png', '2_b.png']),
        (
            ['a_b/0.jpg', 'a/b_0.jpg', 'c/0.jpg'],
            ['0_a_b_0.png', '1_a_b_0.png', '2_c_0.png'],
        ),
    ],
)
def test_names_of_predictions(paths, names):
    assert list(distinct_names(paths).values()) == names
    assert not names or list(distinct_names(paths)) == paths


def test_pictures_of_images_with_equal_names(photos, tmp_path):
    """`0.png` of each class is one picture [MONAI #1854]."""
    _, model = scores_of(photos, 'pictures')
    file = saved(model, tmp_path / 'model.pth')
    shown = tmp_path / 'shown'
    start('test', photos, tmp_path, file, '--show-dir', shown)
    names = {path.name for path in shown.iterdir()}
    assert names == {
        f'{color}_{i}.png_0.png' for color in runs.COLORS for i in range(5)
    }


@pytest.mark.parametrize('shift', [0, 1])
def test_label_maps_of_images_with_equal_names(tmp_path, shift):
    """Label maps overwrite each other [MONAI #1854], or differ from the labels
    by one [mmseg #479, #3099].

    With reduce_zero_label, files have the numbers of the label files.
    """
    data = tmp_path / 'data'
    for night in ('a', 'b'):
        runs.masks(tmp_path / night, number=3)
        for part in ('images', 'labels'):
            (data / part).mkdir(parents=True, exist_ok=True)
            (tmp_path / night / part).rename(data / part / night)
    for path in data.glob('labels/*/*.png'):
        labels = np.array(Image.open(path)) + shift
        Image.fromarray(labels.astype(np.uint8)).save(path)
    cfg = runs.segmentation(data)
    cfg['test_dataloader']['dataset']['reduce_zero_label'] = shift == 1
    scores, model = scores_of(cfg, f'maps{shift}')
    file, out = saved(model, tmp_path / 'model.pth'), tmp_path / 'out'
    start('test', cfg, tmp_path, file, '--out', out)
    right = []
    for night in 'ab':
        for i in range(3):
            labels = Image.open(data / f'labels/{night}/{i}.png')
            found = Image.open(out / f'{night}_{i}.png')
            right.append(np.array(found) == np.array(labels))
    assert len(list(out.iterdir())) == 6
    assert 100 * np.mean(right) == pytest.approx(scores['aAcc'], abs=0.01)
    assert 1 < scores['aAcc'] < 99


@pytest.mark.parametrize('task', ['cls', 'seg'])
def test_scores_do_not_depend_on_the_batch_size(photos, tmp_path, task):
    """A smaller last batch counts as a full one [tflearn #75]."""
    cfg = photos
    if task == 'seg':
        cfg = runs.segmentation(runs.masks(tmp_path / 'masks', number=7))
    scores = []
    for size in (1, 4, 7):
        cfg['test_dataloader']['batch_size'] = size
        scores.append(scores_of(cfg, f'{task}{size}')[0])
    assert scores[0] == scores[1] == scores[2]
    assert 0 < next(iter(scores[0].values())) < 100


def test_a_file_and_its_pixels(photos, tmp_path):
    """A path and its array give other results [mmpose #2481].

    Arrays are BGR, as OpenCV and mmcv read them.
    """
    scenes = runs.masks(tmp_path / 'masks')
    segmentation = runs.segmentation(scenes)
    segmentation.update(
        test_pipeline=runs.TEST_PIPELINE,
        visualizer=dict(type='SegLocalVisualizer'),
    )
    photos['test_pipeline'] = [runs.LOAD, dict(type='PackInputs')]
    image = str(scenes / 'images/0.png')
    pixels = mmcv.imread(image)
    found = []
    for cfg, scope, kind, key in (
        (photos, 'mmpretrain', ImageClassificationInferencer, 'pred_scores'),
        (segmentation, 'mmseg', MMSegInferencer, 'predictions'),
    ):
        _, model = scores_of(cfg, f'pixels_{scope}')
        file = saved(model, tmp_path / f'{scope}.pth')
        Config(cfg).dump(tmp_path / f'{scope}.py')
        init_default_scope(scope)
        predict = kind(str(tmp_path / f'{scope}.py'), str(file), device='cpu')
        for source in (image, pixels, pixels[..., ::-1].copy(), image):
            result = predict(source)
            result = result[0] if scope == 'mmpretrain' else result
            found.append(np.asarray(result[key]))
    for by_path, by_array, swapped, again in (found[:4], found[4:]):
        np.testing.assert_array_equal(by_path, by_array)
        np.testing.assert_array_equal(by_path, again)
        assert not np.array_equal(by_path, swapped)


def test_a_tuned_only_file_has_all_that_was_trained(tmp_path):
    """Heads or BatchNorm statistics are missing [peft #310, #1732]."""
    cfg = runs.segmentation(runs.masks(tmp_path / 'masks'))
    backbone = scores_of(cfg, 'pretrained')[1].backbone
    state = backbone.state_dict()
    frozen = {k: v for k, v in state.items() if 'prompts' not in k}
    torch.save(frozen, tmp_path / 'frozen.pth')
    cfg['model']['backbone']['init_cfg'] = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'frozen.pth')
    )
    cfg['train_cfg']['val_interval'] = 4
    cfg['default_hooks']['checkpoint']['tuned_only'] = True
    runner = trained(cfg, 'tuned')
    before = runner.message_hub.get_scalar('val/mIoU').current()
    file = tmp_path / 'run_masks/iter_4.pth'
    names = torch.load(file, weights_only=False)['state_dict']
    assert not any('layers.0.attn' in name for name in names)
    assert 'decode_head.up_convs.0.0.bn.running_mean' in names
    cfg = Config(dict(cfg, load_from=str(file), experiment_name='reloaded'))
    assert DAVPTTestRunner.from_cfg(cfg).test()['mIoU'] == before
