"""``mmdavpt report``: one page about finished runs."""

import base64
import io
import json
import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from PIL import Image

from mmdavpt.cli import report
from mmdavpt.cli.messages import run_command
from mmdavpt.cli.run_report import page
from mmdavpt.cli.run_report.tested_run import Outcome, OutcomeHook, TestedRun
from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.errors import UsageError
from mmdavpt.visualization import load_picture
from tests import toy

from .test_data_report.test_page import Page

#: Class names that a page must not interpret.
NAMES = ('<script>alert(1)</script>', '犬', '$x$', '_hidden', 'غزال', '"q"&')


def train(folder, make=toy.classification, changes=None):
    changes = {'default_hooks.logger': dict(type='LoggerHook', interval=1)} | (
        changes or {}
    )
    if make is toy.classification:
        for part in ('train', 'val'):
            key = f'{part}_dataloader.dataset.metainfo'
            changes[key] = dict(classes=NAMES)
    DAVPTRunner.from_cfg(Config(make(folder, changes))).train()
    return folder


def files(folder):
    return {p: p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def figures(found):
    """Return the texts of the figures that are SVG."""
    texts = []
    for uri in found.images:
        kind, content = uri.split(';base64,')
        content = base64.b64decode(content)
        if kind == 'data:image/svg+xml':
            root = ET.fromstring(content)
            nodes = root.iter('{http://www.w3.org/2000/svg}text')
            texts.append([''.join(node.itertext()) for node in nodes])
        else:
            Image.open(io.BytesIO(content)).verify()
    return texts


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp('runs')
    unguided = {'model.guidance': None, 'custom_hooks': []}
    return train(root / 'a<b>'), train(root / 'vpt', changes=unguided)


def test_report_of_two_classifiers(pair, tmp_path, capsys):
    out = tmp_path / 'report.html'
    before = files(pair[0]) | files(pair[1])
    (pair[1] / 'run.json').write_text(
        json.dumps(dict(train_time=61.7, num_trainable_params=1234))
    )
    run_command(report, [*map(str, pair), '--out', str(out)])
    (pair[1] / 'run.json').unlink()
    assert files(pair[0]) | files(pair[1]) == before
    assert f'report: {out}' in capsys.readouterr().out
    text = out.read_text('utf-8')
    found = Page(text)
    # Neither a script nor a file or address.
    assert not {'script', 'link', 'iframe'} & found.tags
    assert all(uri.startswith('data:') for uri in found.images)
    assert not re.search(r'url\(|@import|src="http', text)
    for name in (*NAMES, 'a<b>', 'vpt'):
        assert name in found.text, name
    assert '24 validation images (the config has no other' in found.text
    assert '1,234' in found.text and '62' in found.text
    drawn = sum(figures(found), [])
    assert {'loss_guidance_token', 'moved_classes', 'loss'} <= {*drawn}
    assert 'a<b>: prompt of class' in drawn
    assert 'vpt: strongest prompt' in drawn
    assert 'model.guidance.type' not in found.text
    assert 'model.guidance' in found.text  # a difference
    assert {'epoch_1', 'epoch_2', 'prompt 2'} <= {*drawn}
    [changed] = [text for text in drawn if 'changed their prompt' in text]
    assert re.match(r'\d of 6 classes', changed)
    assert drawn.count('[CLS]') == 0 and 'a<b>: [CLS]' in drawn


def test_report_of_a_segmentation(tmp_path):
    changes = {'default_hooks.checkpoint.interval': 2}
    val = toy.segmentation('')['val_dataloader']
    other = dict(val, dataset=dict(val['dataset'], seed=2))
    changes |= dict(test_dataloader=other, test_cfg={})
    changes['test_evaluator'] = toy.segmentation('')['val_evaluator']
    run = train(tmp_path / 'seg', toy.segmentation, changes)
    found = Page(page.write_page([run]))
    assert '4 test images of' in found.text
    assert 'IoU of each class' in found.text
    assert 'background' in found.text and 'mIoU' in found.text
    # Four images, each among the worst and the best: three pictures.
    assert found.text.count('prediction of seg') == 8
    assert {'decode.loss_ce', 'prompt 0'} <= {*sum(figures(found), [])}
    assert 'Config differences' not in found.text


def test_outcomes_of_images_by_hand():
    hook = OutcomeHook(3)
    sample = DataSample().set_gt_label(1).set_pred_label(2)
    sample.set_pred_score(torch.tensor([0.1, 0.3, 0.6]))
    hook.after_test_iter(outputs=[sample])
    assert hook.outcomes[0][:2] == (1, 2)
    assert hook.outcomes[0].score == pytest.approx(0.3)
    truths = torch.tensor([[[0, 0, 1], [255, 2, 0]]])
    guesses = torch.tensor([[[0, 1, 1], [1, 0, 0]]])
    scene = SegDataSample(
        gt_sem_seg=PixelData(data=truths),
        pred_sem_seg=PixelData(data=guesses),
    )
    empty = SegDataSample(
        gt_sem_seg=PixelData(data=truths * 0 + 3),
        pred_sem_seg=PixelData(data=guesses),
    )
    hook.after_test_iter(outputs=[scene, empty])
    assert hook.outcomes[1] == Outcome(0, 0, 0.6)
    assert hook.outcomes[2][:2] == (-1, -1)
    assert hook.matrix.tolist() == [[2, 1, 0], [0, 1, 1], [1, 0, 0]]
    run = object.__new__(TestedRun)
    run.hook, run.is_segmentation = hook, False
    run.class_names = ['a', 'b', 'c']
    np.testing.assert_allclose(run.scores(), [200 / 3, 50, 0])
    assert run.most_confused() == [(1, 0, 1), (1, 1, 2), (1, 2, 0)]
    assert run.most_confused(1) == [(1, 0, 1)]
    run.is_segmentation = True
    np.testing.assert_allclose(run.scores(), [50, 100 / 3, 0])
    hook.matrix[:] = np.diag([1, 0, 4])
    assert run.most_confused() == []
    assert str(run.scores()) == '[100.0, nan, 100.0]'


@pytest.mark.parametrize('kind', ['mean', '_channel_conversion', 'raw'])
def test_pictures_are_what_the_model_sees(kind):
    """The colors of a red pixel, with any preprocessor."""
    bgr = torch.tensor([10.0, 20.0, 250.0])[:, None, None].expand(3, 2, 2)

    def preprocess(batch, training):
        assert not training
        (x,) = batch['inputs']
        return dict(inputs=(x.flip(0) - 5 if kind == 'mean' else x)[None])

    if kind == 'mean':
        preprocess.mean, preprocess.std = torch.tensor(5.0), torch.tensor(1.0)
        preprocess.to_rgb = True
    else:
        preprocess._channel_conversion = kind == 'raw'
    model = SimpleNamespace(data_preprocessor=preprocess)
    picture = load_picture(model, [dict(inputs=bgr)], 0)[2]
    red = [250, 20, 10] if kind != 'raw' else [10, 20, 250]
    assert picture.tolist() == [[red] * 2] * 2


@pytest.mark.parametrize(
    'files, drawn',
    [
        ('stopped', 'stopped'),
        ('iter_10 iter_2 stopped', 'iter_2 iter_10 stopped'),
        ('epoch_1-ab12 best_acc_epoch_1 epoch_1 epoch_2', 'epoch_1 epoch_2'),
    ],
)
def test_checkpoints_whose_mappings_are_drawn(
    tmp_path, monkeypatch, files, drawn
):
    for name in files.split():
        state = {page.MAPPING: torch.tensor([0, 1])}
        torch.save(dict(state_dict=state), tmp_path / f'{name}.pth')
    run = SimpleNamespace(
        guidance=SimpleNamespace(num_prompts=2),
        checkpoint=str(tmp_path / f'{name}.pth'),
        class_labels=[],
        class_names=['a', 'b'],
        model=None,
        dataset=None,
    )
    monkeypatch.setattr(
        page.vis, 'mapping_figure', lambda _, found, *others: found
    )
    assert [title for title, _ in page.draw_mapping(run)] == drawn.split()


def test_differences_by_hand():
    one = Config(dict(lr=1, model=dict(a=[1], same=2), only=dict()))
    two = Config(dict(lr=1, model=dict(a=[2], same=2), work_dir='x'))
    assert page.config_differences([one, two]) == [
        ('model.a', ['[1]', '[2]']),
        ('only', ['{}', '']),
    ]
    assert page.config_differences([one]) == []


def test_names_of_runs(tmp_path):
    paths = [tmp_path / 'a' / 'seed_0', tmp_path / 'b' / 'seed_0']
    assert page.run_names(paths) == ['a/seed_0', 'b/seed_0']
    assert page.run_names(paths[:1]) == ['seed_0']


def test_other_folders_are_rejected(pair, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_command(report, [str(tmp_path), '--out', str(tmp_path / 'x.html')])
    error = capsys.readouterr().err
    assert 'should be the work folder of a training' in error
    assert '0 logs and the checkpoint None' in error


def test_runs_on_other_data_are_rejected(pair, monkeypatch):
    class Run:
        def __init__(self, folder, scratch):
            self.labels = [0, 1] if folder.name == 'vpt' else [1, 1]
            self.class_names = ['x', 'y']

    monkeypatch.setattr(page, 'TestedRun', Run)
    with pytest.raises(UsageError, match='different classes or images'):
        page.write_page(pair)
