"""The command `predict`: equal to `test`, and its files."""

import csv
import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import mmdavpt
from mmdavpt.cli import predict, test, train
from mmdavpt.cli.messages import run_command
from mmdavpt.cli.prediction_files import (
    find_images,
    find_polygons,
    write_predictions,
)
from mmdavpt.datasets.folders import palette
from mmdavpt.errors import UsageError

from ..test_api.test_tuned_model import create, tiny_models  # noqa: F401
from .test_folder_config import WEIGHTS, write_photos, write_scenes


def fit(folder, size):
    """Train for an epoch; return the config and the checkpoint."""
    argv = [folder, *WEIGHTS, '--epochs', '1', '--size', size, '--batch', '4']
    run_command(
        train, [*argv, '--cfg-options', 'num_workers=0', 'num_prompts=4']
    )
    work = f'work_dirs/{folder}'
    return f'{work}/{folder}.py', f'{work}/epoch_1.pth'


def test_classification(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / 'colors')
    config, checkpoint = fit('colors', '32')
    options = ['--cfg-options', 'batch_size=1']  # for equal bits
    run_command(test, [config, checkpoint, '--out', 'tested.pkl', *options])
    tested = {
        Path(sample['img_path']).relative_to('colors').as_posix(): sample[
            'pred_score'
        ].numpy()
        for sample in pickle.loads(Path('tested.pkl').read_bytes())
    }
    assert len(tested) == 3

    run_command(predict, [config, checkpoint, 'colors', '--top-k', '9'])
    rows = json.loads(Path('predictions/predictions.json').read_text())
    assert len(rows) == 12
    found = {row['image']: row['predictions'] for row in rows}
    for name, scores in tested.items():
        assert [p['score'] for p in found[name]] == sorted(scores)[::-1]
        for p in found[name]:
            assert p['score'] == scores[p['label']]
            assert p['name'] == ['blue', 'green', 'red'][p['label']]
    with open('predictions/predictions.csv', newline='') as file:
        table = list(csv.DictReader(file))
    assert len(table) == 36
    for line in table:
        best = found[line['image']][int(line['rank']) - 1]
        assert (line['class'], float(line['score'])) == (
            best['name'],
            best['score'],
        )

    model = mmdavpt.load_model(config, checkpoint)
    mmdavpt.save_model(model, 'colors.safetensors')
    argv = ['colors.safetensors', 'colors/**/1.JPG', 'colors/red/0.JPG']
    capsys.readouterr()
    run_command(predict, [*argv, '--out', 'second', '--weights', WEIGHTS[1]])
    assert capsys.readouterr().out.endswith('4 images; results in second\n')
    second = json.loads(Path('second/predictions.json').read_text())
    assert all(row['predictions'] == found[row['image']] for row in second)


def test_segmentation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / 'scenes')
    config, checkpoint = fit('scenes', '16')
    run_command(test, [config, checkpoint, '--out', 'tested'])
    run_command(predict, [config, checkpoint, 'scenes/val/images/4.jpg'])
    mask = np.asarray(Image.open('predictions/masks/4.jpg.png'))
    expected = np.asarray(Image.open('tested/4.png'))
    assert mask.shape == (20, 30)
    assert np.array_equal(mask, expected)
    overlay = np.asarray(Image.open('predictions/overlays/4.jpg.png'))
    image = cv2.imread('scenes/val/images/4.jpg')[..., ::-1]
    model = mmdavpt.load_model(config, checkpoint)
    colors = np.array(model.spec['palette'], np.uint8)
    assert np.array_equal(overlay, image // 2 + colors[mask] // 2)
    [row] = json.loads(Path('predictions/predictions.json').read_text())
    assert row['image'] == '4.jpg'
    drawn = draw(row['predictions'], mask.shape)
    assert np.array_equal(drawn, mask)


def draw(regions, shape):
    """Return the mask of polygons, drawn by OpenCV."""
    mask = np.full(shape, 255, np.uint8)
    for region in regions:
        part = np.zeros(shape, np.uint8)
        cv2.fillPoly(part, [np.array(region['polygon'])], 1)
        for hole in region['holes']:
            inside = np.zeros(shape, np.uint8)
            cv2.fillPoly(inside, [np.array(hole)], 1)
            cv2.polylines(inside, [np.array(hole)], True, 0)
            part[inside > 0] = 0
        mask[part > 0] = region['label']
    return mask


@pytest.mark.parametrize('seed', range(5))
def test_polygons_draw_the_mask_again(seed):
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(40, 50)), (0, 0), 2)
    mask = np.digitize(noise, np.quantile(noise, [0.3, 0.6]))
    regions = find_polygons(mask)
    assert np.array_equal(draw(regions, mask.shape), mask)


def test_a_ring_has_a_hole():
    mask = np.zeros((5, 5), np.int64)
    mask[1:4, 1:4] = 2
    mask[2, 2] = 0
    outer, center, ring = find_polygons(mask)
    if outer['polygon'] == [[2, 2]]:
        outer, center = center, outer
    assert center == dict(label=0, polygon=[[2, 2]], holes=[])
    assert outer['label'] == 0 and len(outer['holes']) == 1
    assert sorted(ring['polygon']) == [[1, 1], [1, 3], [3, 1], [3, 3]]
    assert sorted(ring['holes'][0]) == [[1, 2], [2, 1], [2, 3], [3, 2]]


def test_inputs(tmp_path):
    names = ('x.png', '.hidden/y.png', 'b/x.jpg', 'notes.txt', 'v.MOV')
    for name in (f'a/{name}' for name in names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folder = str(tmp_path / 'a')
    assert [*find_images([folder])] == ['b/x.jpg', 'x.png']
    assert [*find_images([f'{folder}/*.png', folder])] == ['x.png', 'b/x.jpg']
    assert [*find_images([f'{folder}/b/x.jpg'])] == ['x.jpg']
    assert [*find_images([f'{folder}/*.[Mm]*'])] == ['v.MOV']
    assert [*find_images([f'{folder}/v.MOV'])] == ['v.MOV']
    for wrong in (f'{folder}/*.bmp', f'{folder}/c'):
        with pytest.raises(UsageError, match='names no image'):
            find_images([wrong])
    with pytest.raises(UsageError, match='name images'):
        find_images([])


@pytest.fixture
def model_file(tmp_path, monkeypatch):
    """Return the name of a model file in the current folder."""
    monkeypatch.chdir(tmp_path)
    model = create('linear', pretrained=False)
    mmdavpt.save_model(model, 'm.safetensors', complete=True)
    return 'm.safetensors'


def test_unreadable_images_are_skipped(model_file, capsys):
    Path('x').mkdir()
    Image.new('RGB', (40, 40)).save('x/a.png')
    Image.new('RGB', (40, 40)).save('x/c.png')
    Path('x/b.png').write_bytes(b'no image')
    Path('x/d.mp4').write_bytes(b'no video')
    assert run_command(predict, [model_file, 'x', 'x/*.mp4']) == 1
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert first.startswith('warning: ') and 'x/b.png cannot be read' in first
    assert 'x/d.mp4 cannot be read' in second and 'it is skipped' in second
    assert '2 images, 2 skipped; results in predictions\n' in out
    rows = json.loads(Path('predictions/predictions.json').read_text())
    assert [row['image'] for row in rows] == ['a.png', 'c.png']
    assert run_command(predict, [model_file, 'x/a.png']) == 0


def write_video(path):
    """Write seven frames, each brighter; return them as decoded, RGB."""
    code = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(path, code, 10, (48, 40))
    for i in range(7):
        writer.write(np.full((40, 48, 3), (30 * i, 20 * i, 5), np.uint8))
    writer.release()
    video, frames = cv2.VideoCapture(path), []
    for _ in range(7):
        found, frame = video.read()
        assert found
        frames.append(frame[..., ::-1])
    assert not video.read()[0]
    return frames


def test_frames_of_videos(model_file):
    frames = write_video('clip.mp4')
    model = mmdavpt.load_model(model_file)
    expected = [r['scores'].tolist() for r in model.predict(frames)]
    assert len({str(scores) for scores in expected}) == 7
    found = model.predict(['clip.mp4', frames[1]], every=3)
    scores = [r['scores'].tolist() for r in found]
    assert scores == [*expected[::3], expected[1]]
    assert len(model.predict([Path('clip.mp4')])) == 7

    run_command(
        predict, [model_file, 'clip.mp4', '--every', '3', '--top-k', '1']
    )
    rows = json.loads(Path('predictions/predictions.json').read_text())
    names = ['clip.mp4#000000', 'clip.mp4#000003', 'clip.mp4#000006']
    assert [row['image'] for row in rows] == names
    best = [row['predictions'][0]['score'] for row in rows]
    assert best == [max(scores) for scores in expected[::3]]
    with open('predictions/predictions.csv', newline='') as file:
        assert [line['image'] for line in csv.DictReader(file)] == names


@pytest.mark.parametrize(
    'broken, message, kept',
    [
        (1, 'clip.mp4 cannot be read at frame 0; it is skipped', 0),
        (2, 'clip.mp4 cannot be read at frame 1; the rest is skipped', 1),
        (9, 'clip.mp4 ends at frame 3 of 7; the rest is skipped', 3),
    ],
)
def test_a_broken_frame_is_named_and_keeps_those_before(
    model_file, monkeypatch, capsys, broken, message, kept
):
    class Broken:
        grabbed = 0

        def __init__(self, path):
            pass

        def grab(self):
            self.grabbed += 1
            return self.grabbed <= 3

        def retrieve(self):
            if self.grabbed == broken:
                return False, None
            return True, np.zeros((40, 48, 3), np.uint8)

        def get(self, what):
            return 7.0

    write_video('clip.mp4')
    monkeypatch.setattr(cv2, 'VideoCapture', Broken)
    assert run_command(predict, [model_file, 'clip.mp4']) == 1
    assert message in capsys.readouterr()[1]
    rows = json.loads(Path('predictions/predictions.json').read_text())
    names = [f'clip.mp4#00000{number}' for number in range(kept)]
    assert [row['image'] for row in rows] == names


def test_masks_of_frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = write_video('clip.mp4')
    model = create('linear', task='segmentation', head='linear')
    write_predictions(model, {'clip.mp4': 'clip.mp4'}, 'out', 1, every=6)
    masks = sorted(path.name for path in Path('out/masks').iterdir())
    assert masks == ['clip.mp4#000000.png', 'clip.mp4#000006.png']
    mask = np.asarray(Image.open(f'out/masks/{masks[1]}'))
    [expected] = model.predict(frames[6:])
    assert np.array_equal(mask, expected['mask'])
    overlay = np.asarray(Image.open(f'out/overlays/{masks[1]}'))
    colors = palette(3)
    assert np.array_equal(
        overlay, frames[6] // 2 + np.uint8(colors)[mask] // 2
    )


def test_mistakes_are_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('a.safetensors').write_bytes(b'nothing')
    Image.new('RGB', (8, 8)).save('a.png')
    with pytest.raises(SystemExit):
        run_command(predict, ['a.safetensors', 'a.png'])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and 'cannot be read' in lines[0]
