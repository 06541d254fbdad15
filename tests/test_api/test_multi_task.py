"""Several tuned models over one set of frozen weights."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import mmdavpt
from mmdavpt.api import MultiTaskModel
from mmdavpt.cli import predict
from mmdavpt.cli.messages import run_command
from mmdavpt.errors import UsageError
from mmdavpt.models.backbones import forward_pass

from .test_tuned_model import create, tiny_models  # noqa: F401

SIZE = 28


def pictures(count=5, seed=0, size=SIZE):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, size, size)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


def write(path, method='vpt', seed=0, complete=False, **settings):
    """Save a model of random trained values; return it."""
    model = create(method, **settings)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.5, generator=draw)
    mmdavpt.save_model(model, str(path), complete=complete)
    return model.eval()


KINDS = {
    'a': dict(method='vpt'),
    'b': dict(method='davpt', num_classes=5),
    'c': dict(method='vpt', num_prompts=4),
    'd': dict(method='vpt', num_prompts=4, classes=['x', 'y']),
    'linear.1': dict(method='linear'),
    'linear.2': dict(method='linear', num_classes=4),
    'plus': dict(method='davpt-plus'),
    'lora': dict(method='lora'),
}


def write_all(folder, kinds):
    alone = {
        name: write(folder / f'{name}.safetensors', seed=seed, **settings)
        for seed, (name, settings) in enumerate(kinds.items())
    }
    return alone, [folder / f'{name}.safetensors' for name in kinds]


def count_passes(monkeypatch):
    """Return a list that grows with each pass: the rows of its first layer."""
    calls, run = [], forward_pass._run_layer

    def spy(vit, i, x, task):
        calls.extend([len(x)] * (i == 0))
        return run(vit, i, x, task)

    monkeypatch.setattr(forward_pass, '_run_layer', spy)
    return calls


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_classification(tmp_path, monkeypatch):
    alone, files = write_all(tmp_path, KINDS)
    model = MultiTaskModel(files)
    assert [*model.tasks] == [*KINDS]

    # Memory: the frozen weights once, and what each file trains.
    frozen = sum(
        p.numel() for p in alone['a'].parameters() if not p.requires_grad
    )
    tuned = sum(
        p.numel()
        for own in alone.values()
        for p in own.parameters()
        if p.requires_grad
    )
    assert sum(p.numel() for p in model.parameters()) == frozen + tuned

    images = pictures(12)
    tasks = ['d', 'a', 'c', 'b', 'a', 'linear.1', 'plus', 'lora', 'b', 'c']
    tasks += ['linear.2', 'lora']
    passes = count_passes(monkeypatch)
    with torch.no_grad():
        found = model(images, tasks)
        # a with b; c with d; the linear ones; plus; lora
        assert sorted(passes) == [1, 2, 2, 3, 4]
        for task, logits, image in zip(tasks, found, images, strict=True):
            [expected] = alone[task](image[None])
            close(logits, expected)
            assert logits.shape == (len(alone[task].classes),)
        # A task alone in a batch runs as its model does, bit for bit.
        for one, other in zip(
            model(images[:3], ['c'] * 3), alone['c'](images[:3]), strict=True
        ):
            assert torch.equal(one, other)

    picture = images[0].permute(1, 2, 0).numpy()
    passes.clear()
    results = model.predict([picture, picture])
    # The linear ones share all layers.
    assert sorted(passes) == [1, 1, 1, 1, 1, 1, 2, 2, 2, 2]
    assert [r['task'] for r in results[: len(KINDS)]] == [*KINDS]
    for result in results:
        [expected] = alone[result['task']].predict([picture])
        close(result['scores'], expected['scores'])
        assert result['name'] == expected['name']
        assert result['score'] == result['scores'].max()
    model.double()  # shared parameters stay shared
    assert sum(p.numel() for p in model.parameters()) == frozen + tuned


def test_connected_prompts_run_in_a_pass_of_their_own(tmp_path, monkeypatch):
    connected = dict(backbone_options=dict(propagate=True))
    alone, files = write_all(tmp_path, dict.fromkeys('ab', connected))
    model, images = MultiTaskModel(files), pictures(4)
    passes = count_passes(monkeypatch)
    with torch.no_grad():
        found = model(images, [*'abab'])
        assert passes == [2, 2]
        for task, logits, image in zip('abab', found, images, strict=True):
            close(logits, alone[task](image[None])[0])


def test_the_mode_is_that_of_prediction_and_is_restored(tmp_path):
    """Also after an error; for several tasks, and for one."""
    _, files = write_all(tmp_path, {name: KINDS[name] for name in 'ab'})
    picture = pictures(1)[0].permute(1, 2, 0).numpy()
    for model in (MultiTaskModel(files), mmdavpt.load_model(files[0])):
        for task in getattr(model, 'tasks', {None: model}).values():
            head = task.model.head
            head.fc = nn.Sequential(nn.Dropout(0.5), head.fc)
        before = model.eval().predict([picture])
        after = model.train().predict([picture])
        assert model.training
        for one, other in zip(before, after, strict=True):
            assert torch.equal(one['scores'], other['scores'])
        with pytest.raises(UsageError, match='cannot be read'):
            model.predict([picture, tmp_path / 'none.png'])
        assert model.training


def test_a_pass_changes_no_model(tmp_path):
    """Threads may run the same models between a pass and its heads."""
    names = ['a', 'lora', 'b', 'linear.1', 'linear.2']
    alone, files = write_all(tmp_path, {name: KINDS[name] for name in names})
    model, seen = MultiTaskModel(files), []
    images, others = pictures(5), pictures(5, seed=1)

    def run_others(module, args):
        if not seen:
            seen.append(module)
            found = model(others, names[::-1])
            own = [task(others) for task in model.tasks.values()]
            seen.extend([found, own])

    model.tasks['b'].model.head.register_forward_pre_hook(run_others)
    with torch.no_grad():
        found = model(images, names)
        for i, name in enumerate(names):
            close(found[i], alone[name](images[i : i + 1])[0])
            expected = alone[name](others)
            close(seen[1][-1 - i], expected[-1 - i])
            close(seen[2][i], expected)
    picture = images[0].permute(1, 2, 0).numpy()
    assert [r['task'] for r in model.predict([picture])] == names


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_segmentation(tmp_path, monkeypatch, mode):
    alone = {}
    for seed, (name, classes) in enumerate(dict(a=3, b=5).items()):
        settings = dict(task='segmentation', head='linear')
        settings.update(num_classes=classes)
        path = tmp_path / f'{name}.safetensors'
        alone[name] = model = write(path, seed=seed, **settings)
        if mode == 'whole':
            model.spec['model']['test_cfg'] = dict(mode='whole')
            model.model.test_cfg = type(model.model.test_cfg)(mode='whole')
            mmdavpt.save_model(model, str(path))
    model = MultiTaskModel([tmp_path / f'{n}.safetensors' for n in alone])
    images, tasks = pictures(4), ['b', 'a', 'a', 'b']
    passes = count_passes(monkeypatch)
    with torch.no_grad():
        found = model(images, tasks)
        assert passes == ([4] if mode == 'whole' else [2, 2])
        for task, logits, image in zip(tasks, found, images, strict=True):
            close(logits, alone[task](image[None])[0])
    picture = pictures(1, size=2 * SIZE)[0].permute(1, 2, 0).numpy()
    results = model.predict([picture])
    assert [r['task'] for r in results] == ['a', 'b']
    for result in results:
        [expected] = alone[result['task']].predict([picture])
        agree = (result['mask'] == expected['mask']).double().mean()
        assert agree > 0.99


def test_loading_does_not_change_the_first_model(tmp_path):
    """Also a file with all weights takes those of the first model."""
    first = write(tmp_path / 'a.safetensors', pretrained=False, complete=True)
    write(tmp_path / 'b.safetensors', seed=1, pretrained=False, complete=True)
    loaded = mmdavpt.load_model(tmp_path / 'a.safetensors')
    images = pictures(2)
    with torch.no_grad():
        before = loaded(images)
        second = mmdavpt.load_model(tmp_path / 'b.safetensors', share=loaded)
        assert torch.equal(loaded(images), before)
        assert torch.equal(first(images), before)
        assert not torch.allclose(second(images), before)
    weights = [m.model.backbone.vit.norm.weight for m in (loaded, second)]
    assert weights[0] is weights[1]


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(size=2 * SIZE), "'img_size': 56"),
        (dict(mean=[0.0, 0.0, 0.0]), "'mean': [0.0, 0.0, 0.0]"),
        (dict(method='full'), "'trainable': ['*']"),
        (dict(method='bias'), "'trainable': ['*.bias']"),
        (dict(task='segmentation', head='linear'), 'SegDataPreProcessor'),
    ],
)
def test_files_that_cannot_share_are_refused(tmp_path, settings, message):
    files = [tmp_path / f'{name}.safetensors' for name in 'ab']
    write(files[0])
    write(files[1], **settings)
    with pytest.raises(UsageError) as error:
        MultiTaskModel(files)
    text = str(error.value)
    assert text.startswith(f'{files[1]} should have the images and the ')
    assert message in text and text.endswith('; use it alone')


def test_other_frozen_weights_are_refused(tmp_path):
    files = [tmp_path / f'{name}.safetensors' for name in 'ab']
    write(files[0])
    model = create('vpt')
    with torch.no_grad():
        model.model.backbone.vit.norm.bias[0] += 1e-6
    mmdavpt.save_model(model, str(files[1]))
    with pytest.raises(UsageError, match=r'b\.safetensors should have the'):
        MultiTaskModel(files)


def test_mistakes(tmp_path):
    files = [tmp_path / 'a.safetensors', tmp_path / 'x/a.safetensors']
    for file in files:
        write(file)
    with pytest.raises(UsageError, match='two tasks are called a; rename'):
        MultiTaskModel(files)
    model = MultiTaskModel(files[:1])
    for tasks in (['a'], ['a', 'b'], ['a'] * 3):
        with pytest.raises(UsageError, match=r"each image needs one of \['a'"):
            model(pictures(2), tasks)


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    kinds = {name: KINDS[name] for name in ('a', 'b')}
    alone, files = write_all(Path(), kinds)
    Path('x').mkdir()
    for i, image in enumerate(pictures(2)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(f'x/{i}.png')
    argv = ['--tasks', *map(str, files), 'x', '--top-k', '2']
    assert run_command(predict, argv) == 0
    out = capsys.readouterr().out
    assert out.endswith('2 images; results in predictions\n')
    rows = json.loads(Path('predictions/predictions.json').read_text())
    pairs = [(row['image'], row['task']) for row in rows]
    assert pairs == [(f'{i}.png', t) for i in (0, 1) for t in 'ab']
    with open('predictions/predictions.csv', newline='') as file:
        table = [*csv.DictReader(file)]
    assert [*table[0]] == ['image', 'task', 'rank', 'class', 'score']
    assert len(table) == 8
    for row in rows:
        [expected] = alone[row['task']].predict([f'x/{row["image"]}'])
        best = row['predictions'][0]
        assert best['name'] == expected['name']
        assert best['score'] == pytest.approx(expected['score'], rel=1e-4)
        lines = [
            x
            for x in table
            if (x['image'], x['task']) == (row['image'], row['task'])
        ]
        assert [x['class'] for x in lines] == [
            p['name'] for p in row['predictions']
        ]


def test_masks_of_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = dict.fromkeys('ab', dict(task='segmentation', head='linear'))
    alone, files = write_all(Path(), kinds)
    image = pictures(1)[0].permute(1, 2, 0).numpy()
    Image.fromarray(image).save('0.png')
    run_command(predict, ['--tasks', *map(str, files), '0.png'])
    for task, model in alone.items():
        mask = Image.open(f'predictions/masks/{task}/0.png.png')
        [expected] = model.predict(['0.png'])
        agree = torch.from_numpy(np.array(mask)) == expected['mask']
        assert agree.double().mean() > 0.99
        assert Path(f'predictions/overlays/{task}/0.png.png').is_file()
    rows = json.loads(Path('predictions/predictions.json').read_text())
    assert [row['task'] for row in rows] == ['a', 'b']
