"""The comparison of inference by windows with the host's."""

import pytest
import torch
from mmpretrain.models import VisionTransformer

from benchmarks import slide_benchmark
from benchmarks.speed import dense
from benchmarks.speed.cases import Case
from mmdavpt.errors import UsageError

ARCH = dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=48)
TOY = Case('setr-toy', prompts=2, batch=1, size=32, classes=5)


@pytest.fixture(autouse=True)
def toy_architecture(monkeypatch):
    monkeypatch.setitem(VisionTransformer.arch_zoo, 'toy', ARCH)


def test_windows_by_hand():
    assert dense.count_windows((512, 683), 512, 341) == 1 * 2
    # Rows from 0, 341 and 512; columns from 0, 341, ... 1364, and 1536.
    assert dense.count_windows((1024, 2048), 512, 341) == 3 * 6
    assert dense.count_windows((100, 100), 512, 341) == 1


def test_the_host_runs_its_own_method_on_the_same_weights():
    here, host = dense.build_segmentor(TOY, 21, 'cpu')
    calls = []
    here.backbone.register_forward_pre_hook(
        lambda _, inputs: calls.append(len(inputs[0]))
    )
    image = torch.randn(1, 3, 32, 53)
    metas = [dict(img_shape=(32, 53), ori_shape=(32, 53))]
    with torch.no_grad():
        host.slide_inference(image, metas)
        assert calls == [1, 1]
        here.slide_inference(image, metas)
    assert calls == [1, 1, 2]


def test_views_are_the_image_at_all_scales():
    views = dense.views_of((20, 30), [0.5, 2], flip=True)
    shapes = [tuple(image.shape) for (image,) in views['inputs']]
    assert shapes == [(3, 10, 15)] * 2 + [(3, 40, 60)] * 2
    flips = [sample.flip for (sample,) in views['data_samples']]
    assert flips == [False, True] * 2


def test_results_that_differ_end_the_benchmark():
    logits = torch.randn(1, 5, 4, 4)
    dense.check_equal(dict(host=lambda: logits, here=lambda: logits + 1e-6))
    with pytest.raises(UsageError, match='should give the same'):
        dense.check_equal(dict(host=lambda: logits, here=lambda: logits + 1))
    labels = logits.argmax(1)
    with pytest.raises(UsageError, match='should give the same'):
        dense.check_equal(dict(host=lambda: labels, here=lambda: labels + 1))


@pytest.mark.parametrize(
    ('more', 'windows'),
    [([], 2), (['--scales', '0.5', '1', '--flip'], 2 * (1 + 2))],
)
def test_command_prints_a_row_for_an_image(more, windows, capsys):
    slide_benchmark.main(
        '--model setr-toy --images 32x53 --crop 32 --stride 21 --classes 5 '
        '--prompts 2 --rounds 1 --device cpu'.split()
        + more
    )
    cells = capsys.readouterr().out.splitlines()[-1].split(' | ')
    assert cells[:2] == ['| 32 x 53', str(windows)]
    host, here, ratio = (float(cell.split()[0]) for cell in cells[2:])
    assert ratio == pytest.approx(here / host, rel=0.02)


@pytest.mark.parametrize(
    ('command', 'message'),
    [
        ('--images 512', 'a size should be like 512x683'),
        ('--images 0x9', 'a size should be like 512x683'),
        ('--flip', '--flip needs --scales'),
        ('--model vit-toy', 'windows are for a model that segments'),
    ],
)
def test_mistakes_are_sentences(command, message, capsys):
    with pytest.raises(SystemExit) as error:
        slide_benchmark.main(command.split())
    assert message in capsys.readouterr().err + str(error.value)
