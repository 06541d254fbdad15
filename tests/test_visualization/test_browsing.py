"""``tools/browse_dataset.py``: samples as the model gets and is guided by."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmdavpt.errors import UsageError
from mmdavpt.models.guidance import draw_class_labels
from tools import browse_dataset
from tools.browsing.samples import (
    Sample,
    encoding_of,
    flips_channels,
    guidance_labels,
    model_picture,
    read_samples,
)
from tools.browsing.sheet import overlay, resize_labels, samples_figure
from tools.visualization.figures import ACCENT, PALE

from ..toy import classification, segmentation

RED = (220, 30, 10)
PALETTE = [[10, 20, 30], [200, 0, 0], [0, 200, 0]]
NAMES = ['paper', 'A', 'B']


# ---- colours ----


@pytest.fixture
def red_folder(tmp_path):
    """The config of a folder of red images of two classes."""
    for name in ('apple/a.png', 'berry/b.png', 'berry/c.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (24, 16), RED).save(tmp_path / name)
    dataset = dict(
        type='CustomDataset',
        data_root=str(tmp_path),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(guidance=None),
            data_preprocessor=dict(to_rgb=True),
            train_dataloader=dict(dataset=dataset),
        )
    )


@pytest.mark.parametrize('to_rgb', [None, True, False])
def test_red_stays_red(red_folder, to_rgb):
    if to_rgb is not None:
        normalize = dict(type='Normalize', mean=[9.0] * 3, std=[50.0] * 3)
        pipeline = red_folder.train_dataloader.dataset.pipeline
        pipeline.insert(1, dict(normalize, to_rgb=to_rgb))
        red_folder.data_preprocessor.to_rgb = not to_rgb
    samples, metainfo = read_samples(red_folder, 'train', 9)
    assert metainfo['classes'] == ('apple', 'berry')
    assert [s.name for s in samples] == ['a.png', 'b.png', 'c.png']
    assert [s.label for s in samples] == [0, 1, 1]
    for sample in samples:
        assert sample.image.shape == (16, 24, 3)
        assert (sample.image == RED).all()
        assert sample.guidance_label is None


def test_swapped_channels_are_visible(red_folder):
    red_folder.data_preprocessor.to_rgb = False
    samples, _ = read_samples(red_folder, 'train', 1)
    assert (samples[0].image == RED[::-1]).all()


@pytest.mark.parametrize(
    'inputs, encoding, flips, pixel',
    [
        ([10, 100, 250], (None, 1.0), False, [10, 100, 250]),
        ([10, 100, 250], (None, 1.0), True, [250, 100, 10]),
        # The mean has the order of the packed channels.
        ([1, 2, 3], (((1, 2, 3), (4, 5, 6)), 1.0), True, [21, 12, 5]),
        ([0.2, 0.4, 0.6], (None, 255.0), False, [51, 102, 153]),
        ([-3.0, 300.0, 99.6], (None, 1.0), False, [0, 255, 100]),
        ([7], (None, 1.0), True, [7, 7, 7]),
    ],
)
def test_model_picture(inputs, encoding, flips, pixel):
    inputs = torch.tensor(inputs)[:, None, None]
    picture = model_picture(inputs, encoding, flips)
    assert picture.dtype == np.uint8 and picture.tolist() == [[pixel]]


def test_only_images_become_pictures():
    with pytest.raises(UsageError, match=r'packs \(2, 4, 4\)'):
        model_picture(torch.zeros(2, 4, 4), (None, 1.0), False)


def test_encoding_is_found_in_nested_pipelines():
    normalize = dict(type='mmcv.Normalize', mean=[1, 2, 3], std=[4, 5, 6])
    assert encoding_of(dict(pipeline=[dict(type='PackInputs')])) == (None, 1)
    nested = dict(type='RandomApply', transforms=[normalize])
    dataset = dict(type='KFoldDataset', dataset=dict(pipeline=[nested]))
    assert encoding_of(dataset) == (((1, 2, 3), (4, 5, 6)), 1.0)
    torchvision = [
        dict(type='torchvision/ToTensor'),
        dict(type='torchvision/Normalize', mean=[0.5], std=[0.5]),
    ]
    assert encoding_of(dict(pipeline=torchvision)) == (((0.5,), (0.5,)), 255)
    with pytest.raises(UsageError, match='should normalize alike'):
        encoding_of(dict(pipeline=[normalize, *torchvision]))


@pytest.mark.parametrize(
    'own, top, flips',
    [
        (None, {}, False),
        (None, dict(to_rgb=True), True),
        (dict(bgr_to_rgb=True), {}, True),
        (dict(mean=[0]), dict(to_rgb=True), False),
    ],
)
def test_the_preprocessor_of_the_model_overrides_the_other(own, top, flips):
    cfg = dict(model=dict(data_preprocessor=own), data_preprocessor=top)
    assert flips_channels(cfg) == flips


# ---- samples and guidance ----


def test_the_seed_chooses_samples(tmp_path):
    cfg = Config(classification(tmp_path))
    first, again, other = (
        read_samples(cfg, 'train', 6, seed)[0] for seed in (0, 0, 1)
    )
    indices = [s.index for s in first]
    assert indices == sorted(set(indices)) and len(indices) == 6
    assert [s.index for s in again] == indices != [s.index for s in other]
    assert [s.guidance_label for s in first] == [s.label for s in first]
    validation, _ = read_samples(cfg, 'val', 2)
    assert [s.guidance_label for s in validation] == [None, None]
    cfg.model.guidance = None
    assert read_samples(cfg, 'train', 1)[0][0].guidance_label is None
    with pytest.raises(UsageError, match='no test_dataloader'):
        read_samples(cfg, 'test', 1)


@pytest.mark.parametrize('seed', [0, 3])
def test_guidance_labels_are_those_of_a_training(tmp_path, seed):
    cfg = Config(segmentation(tmp_path))
    cfg.custom_hooks[0].seed = seed
    cfg.train_dataloader.dataset.size = (64, 64)
    samples, _ = read_samples(cfg, 'train', 8)
    data_samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=torch.from_numpy(s.annotation)[None])
        )
        for s in samples
    ]
    drawn = draw_class_labels(data_samples, 27, (0,), 255, (seed, False, 0))
    assert [s.guidance_label for s in samples] == drawn
    assert len(set(drawn)) > 2 and 0 not in drawn
    for sample in samples:
        assert sample.guidance_label in np.unique(sample.annotation)
    # The model may have the class count of all heads.
    cfg.model.num_classes = cfg.model.decode_head.pop('num_classes')
    assert guidance_labels(cfg, data_samples) == drawn
    cfg.model.num_classes = 2
    with pytest.raises(UsageError, match='num_classes'):
        guidance_labels(cfg, data_samples)


def test_samples_without_a_class_to_draw(tmp_path):
    cfg = Config(segmentation(tmp_path))
    # All other classes are ignored.
    cfg.train_dataloader.dataset.metainfo = dict(classes=['background', 'E'])
    cfg.train_dataloader.dataset.size = (64, 64)
    cfg.model.decode_head.num_classes = 2
    samples, _ = read_samples(cfg, 'train', 8)
    present = [1 in s.annotation for s in samples]
    assert set(present) == {True, False}
    guides = [s.guidance_label for s in samples]
    assert guides == [1 if p else -1 for p in present]


# ---- sheets ----


def scene(guidance_label=None, size=(12, 16)):
    annotation = np.zeros((12, 16), np.int64)
    annotation[2:6, 3:8] = 1
    annotation[8:] = 2
    return Sample(
        np.full((*size, 3), 90, np.uint8),
        5,
        'scene.jpg',
        annotation=annotation,
        guidance_label=guidance_label,
    )


def test_overlay_and_resize_by_hand():
    image = np.full((1, 2, 3), [30, 60, 90], np.uint8)
    picture = overlay(image, np.array([[1, 2]]), PALETTE, opacity=0.5)
    # Half grey 60, half the colour of the class.
    assert picture.tolist() == [[[130, 30, 30], [30, 130, 30]]]
    small = np.array([[0, 1], [2, 3]])
    assert resize_labels(small, (2, 2)).tolist() == small.tolist()
    assert resize_labels(small, (1, 4)).tolist() == [[2, 2, 3, 3]]


def test_classes_above_images():
    image = np.zeros((12, 16, 3), np.uint8)
    samples = [
        Sample(image, 3, 'a.jpg', label=1),
        Sample(image, 5, 'a_file_with_a_long_name_' * 3 + '.jpg', label=2),
        Sample(image, 7),
    ]
    figure = samples_figure(samples, NAMES)
    titles = [ax.get_title('left').split('\n') for ax in figure.axes]
    assert titles[0] == ['A', '3: a.jpg', '16×12']
    assert titles[1][0] == 'B' and '…' in titles[1][1]
    assert titles[2] == ['no label', '7', '16×12']
    assert not figure.legends
    assert samples_figure(samples).axes[0].get_title('left')[0] == '1'
    with pytest.raises(ValueError, match=r'\[0, 2\).* but got 2'):
        samples_figure(samples, NAMES[:2])


def test_annotations_and_guidance():
    samples = [scene(1), scene(-1), scene(), scene(2, (24, 32))]
    figure = samples_figure(samples, NAMES, PALETTE, columns=4)
    assert len(figure.axes) == 8
    titles = [ax._left_title for ax in figure.axes[::2]]
    assert titles[0].get_text().startswith('guidance: A\n')
    assert titles[0].get_color() == ACCENT
    assert titles[1].get_text().startswith('no guidance\n')
    assert titles[1].get_color() == PALE
    outlined = [bool(ax.collections) for ax in figure.axes]
    assert outlined == [False, True] + [False] * 5 + [True]
    drawn = figure.axes[1].images[0].get_array()
    expected = overlay(samples[0].image, samples[0].annotation, PALETTE)
    assert np.array_equal(drawn, expected)
    # An annotation of another size is drawn over its image.
    assert figure.axes[7].images[0].get_array().shape == (24, 32, 3)
    # By area.
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert legend == ['paper', 'B', 'A']


def test_the_outline_encloses_its_region():
    axes = samples_figure([scene(2)], NAMES, PALETTE).axes[1]
    (path,) = axes.collections[0].get_paths()
    # Rows 8 to 11 of 16 columns, half a pixel outside their centres; closed
    # at the border.
    assert path.vertices.min(0).tolist() == [-0.5, 7.5]
    assert path.vertices.max(0).tolist() == [15.5, 11.5]
    assert axes.get_xlim() == (-0.5, 15.5) and axes.get_ylim() == (11.5, -0.5)


def test_command_draws_sheets_and_single_pictures(
    tmp_path, monkeypatch, capsys
):
    values = segmentation(tmp_path)
    config = tmp_path / 'tiny.py'
    config.write_text('\n'.join(f'{k} = {v!r}' for k, v in values.items()))
    out = tmp_path / 'out'
    argv = [str(config), '--number', '5', '--out', str(out)]
    monkeypatch.setattr(browse_dataset, 'PER_SHEET', 3)
    browse_dataset.main(argv)
    files = [str(out / f'train_{i}.png') for i in (1, 2)]
    assert capsys.readouterr().out.splitlines() == files
    browse_dataset.main([*argv, '--each', '--split', 'val', '--number', '1'])
    (file,) = capsys.readouterr().out.splitlines()
    assert '/val_00000' in file
    with Image.open(file) as picture:
        assert min(picture.size) > 300
    with pytest.raises(SystemExit):
        browse_dataset.main([*argv, '--split', 'test'])
    assert 'choose another --split' in capsys.readouterr().err
