"""Every method exports with equal logits, or one sentence refuses it."""

import copy
import json
import logging

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from mmdavpt.errors import UsageError
from mmdavpt.models import export as exporting
from mmdavpt.models.export import (
    Deployed,
    describe_images,
    export_model,
    fold_model,
)
from mmdavpt.registry import MODELS

from .. import toy
from ..test_methods import METHODS
from .test_tuners import fake_peft
from .test_tuners.reference import Prompts

CLASSIFIER = toy.classification
TASKS = pytest.mark.parametrize('task', [CLASSIFIER, toy.segmentation])
# What PyTorch says of its own deprecated or dynamic code.
pytestmark = pytest.mark.filterwarnings('ignore')


def build(task, folder, changes=None, type_=None):
    """Return a toy model in which nothing is neutral."""
    cfg = Config(task(folder, changes))
    if type_ is not None:
        cfg.model.backbone = type_
        cfg.model.head.in_channels = 192
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if name.endswith('running_var'):
                buffer.uniform_(0.5, 2)
    return model


def changes_of(method):
    """Return the changes of a toy config that select a method."""
    backbone = {**method.backbone, **method.toy}
    if isinstance(backbone['num_prompts'], int):
        backbone['num_prompts'] = min(backbone['num_prompts'], 3)
    changes = {f'model.backbone.{k}': v for k, v in backbone.items()}
    return changes | ({} if method.metric else {'model.guidance': None})


def timm_backbone(**kwargs):
    return dict(
        type='mmdavpt.DAVPTTimmViT',
        model_name='vit_tiny_patch16_224',
        img_size=32,
        depth=2,
        **kwargs,
    )


def export(model, path, kind, size=None, dynamic_size=False, **more):
    info = {**describe_images(model, size), **more}
    return export_model(model, str(path), kind, info, dynamic_size)


@TASKS
@pytest.mark.parametrize('name', METHODS)
def test_every_method_as_torchscript(task, name, tmp_path):
    model = build(task, tmp_path, changes_of(METHODS[name]))
    path = tmp_path / 'model.pt'
    assert export(model, path, 'torchscript') < 1e-5
    images = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        logits = torch.jit.load(path)(images)
        torch.testing.assert_close(
            logits, Deployed(model)(images), rtol=1e-4, atol=1e-5
        )
    assert logits.shape[2:] == (images.shape[2:] if logits.ndim > 2 else ())


def plain_config(cfg):
    """Return the config of the same model, as a user would write it."""
    own = ('num_prompts', 'propagate', 'bias', 'tuners', 'trainable')
    plain = cfg['model']
    for name in own:
        plain['backbone'].pop(name, None)
    plain.pop('guidance')
    plain['backbone']['type'] = 'mmpretrain.VisionTransformer'
    plain['type'] = {
        'mmdavpt.DAVPTImageClassifier': 'mmpretrain.ImageClassifier',
        'mmdavpt.DAVPTEncoderDecoder': 'mmseg.EncoderDecoder',
    }[plain['type']]
    return plain


@TASKS
@pytest.mark.parametrize('name', METHODS)
def test_every_method_as_plain_weights(task, name, tmp_path):
    method = METHODS[name]
    changes = changes_of(method)
    model = build(task, tmp_path, changes)
    path = tmp_path / 'model.safetensors'
    prompts = any(True for _ in model.backbone.prompts)
    tuners = model.backbone.all_tuners() and not method.folds
    if prompts or tuners:
        with pytest.raises(UsageError, match='export a graph') as error:
            export(model, path, 'weights')
        assert '\n' not in str(error.value)
        assert not [*tmp_path.iterdir()]
        return
    assert export(model, path, 'weights') < 1e-5
    plain = MODELS.build(plain_config(task(tmp_path, changes))).eval()
    plain.load_state_dict(load_file(path))  # strictly
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            Deployed(plain)(images),
            Deployed(model)(images),
            rtol=1e-4,
            atol=1e-5,
        )


def run_onnx(path, images):
    ort = pytest.importorskip('onnxruntime')
    session = ort.InferenceSession(path)
    return torch.from_numpy(session.run(None, {'images': images.numpy()})[0])


#: One method for each way to act: the others are slow tests.
FAST = {
    *('DA-VPT+', 'E2VPT', 'GateVPT', 'Adapter+', 'SSF'),
}


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(n, marks=() if n in FAST else pytest.mark.slow)
        for n in METHODS
    ],
)
def test_every_method_as_onnx(name, tmp_path):
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    method = METHODS[name]
    model = build(CLASSIFIER, tmp_path, changes_of(method))
    path = tmp_path / 'model.onnx'
    assert export(model, path, 'onnx', classes=['a', 'ä']) < 1e-5
    assert [*tmp_path.iterdir()] == [path]  # no external data
    images = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            run_onnx(path, images), model(images), rtol=1e-4, atol=1e-5
        )
    graph = onnx.load(path)
    onnx.checker.check_model(graph)
    (entry,) = graph.metadata_props
    assert entry.key == 'mmdavpt'
    info = json.loads(entry.value)
    assert info['classes'] == ['a', 'ä'] and info['mean'] == [127.5] * 3
    assert [v.name for v in graph.graph.input] == ['images']
    assert [v.name for v in graph.graph.output] == ['logits']


def test_a_segmentor_as_onnx(tmp_path):
    pytest.importorskip('onnxscript')
    changes = {'model.decode_head.norm_cfg': dict(type='SyncBN')}
    model = build(toy.segmentation, tmp_path, changes)
    assert export(model, tmp_path / 'a.onnx', 'onnx') < 1e-5
    logits = run_onnx(tmp_path / 'a.onnx', torch.randn(4, 3, 32, 32))
    assert logits.shape == (4, 27, 32, 32)
    with pytest.raises(UsageError, match='a fixed size'):
        export(model, tmp_path / 'b.onnx', 'onnx', dynamic_size=True)
    assert [p.name for p in tmp_path.iterdir()] == ['a.onnx']


@pytest.mark.parametrize('in_timm', [False, True])
def test_images_of_any_size_as_onnx(tmp_path, in_timm):
    pytest.importorskip('onnxscript')
    backbone = timm_backbone(num_prompts=3) if in_timm else None
    model = build(CLASSIFIER, tmp_path, type_=backbone)
    path = tmp_path / 'model.onnx'
    assert export(model, path, 'onnx', dynamic_size=True) < 1e-5
    for size in ((32, 32), (64, 32), (48, 80)):
        images = torch.randn(3, 3, *size)
        with torch.no_grad():
            expected = model(images)
        torch.testing.assert_close(
            run_onnx(path, images), expected, rtol=1e-4, atol=1e-5
        )


@TASKS
def test_a_program_of_torch_export(task, tmp_path, caplog):
    model = build(task, tmp_path, {'model.backbone.bias': ('k', 'v')})
    path = tmp_path / 'model.pt2'
    with caplog.at_level(logging.WARNING):
        assert export(model, path, 'torch', [48, 32]) < 1e-5
    assert not caplog.records
    program = torch.export.load(path)
    signature = program.graph_signature
    weights = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
    }
    names = ('guidance', 'auxiliary_head', 'bias_delta')
    assert not [w for w in weights.values() if any(n in w for n in names)]
    graph = copy.deepcopy(program.graph)
    graph.eliminate_dead_code()
    prompts = [
        node
        for node in graph.nodes
        if '.prompts.' in weights.get(node.name, '')
    ]
    assert prompts and not any(node.users for node in prompts)  # constants
    images = torch.randn(5, 3, 48, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            program.module()(images), Deployed(model)(images)
        )


def test_prompts_that_a_tuner_changes(tmp_path):
    tuners = [dict(type=Prompts)]
    model = build(CLASSIFIER, tmp_path, {'model.backbone.tuners': tuners})
    assert export(model, tmp_path / 'a', 'torchscript') < 1e-5


def test_wrapped_modules_are_unwrapped(tmp_path, monkeypatch):
    fake_peft.install(monkeypatch)
    config = dict(peft_type='LORA', target_modules=['attn.qkv'])
    tuners = [dict(type='Peft', config=config)]
    changes = {'model.backbone.tuners': tuners}
    model = build(CLASSIFIER, tmp_path, changes)
    folded = fold_model(model)
    assert not [m for m in folded.modules() if 'forward' in vars(m)]
    assert export(model, tmp_path / 'a', 'torchscript') < 1e-5
    no_prompts = {'model.guidance': None, 'model.backbone.num_prompts': 0}
    model = build(CLASSIFIER, tmp_path, changes | no_prompts)
    assert export(model, tmp_path / 'b', 'weights') < 1e-5


def test_plain_weights_of_timm(tmp_path):
    tuners = [dict(type='LoRA', rank=2)]
    backbone = timm_backbone(num_prompts=0, tuners=tuners)
    model = build(CLASSIFIER, tmp_path, {'model.guidance': None}, backbone)
    path = tmp_path / 'model.safetensors'
    assert export(model, path, 'weights', classes=['a']) < 1e-5
    plain = timm.create_model(
        'vit_tiny_patch16_224', img_size=32, depth=2, num_classes=6
    )
    plain.eval().load_state_dict(load_file(path))  # strictly
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            plain(images), model(images), rtol=1e-4, atol=1e-5
        )
    with safe_open(path, 'pt') as file:
        assert json.loads(file.metadata()['meta'])['classes'] == ['a']


def test_another_pooling_than_that_of_timm_is_found(tmp_path):
    backbone = timm_backbone(num_prompts=0, out_type='avg_featmap')
    model = build(CLASSIFIER, tmp_path, {'model.guidance': None}, backbone)
    with pytest.raises(UsageError, match='logits differ by'):
        export(model, tmp_path / 'model.safetensors', 'weights')
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    'task, changes, backbone',
    [
        # A head of mmdavpt, and heads that timm does not have.
        (
            CLASSIFIER,
            {
                'model.head.type': 'mmdavpt.MomentProbingHead',
                'model.backbone.out_type': 'raw',
            },
            None,
        ),
        (
            CLASSIFIER,
            {'model.head.type': 'VisionTransformerClsHead'},
            timm_backbone(num_prompts=0),
        ),
    ],
)
def test_heads_without_plain_weights(task, changes, backbone, tmp_path):
    changes |= {'model.guidance': None, 'model.backbone.num_prompts': 0}
    model = build(task, tmp_path, changes, backbone)
    with pytest.raises(UsageError, match='export a graph'):
        export(model, tmp_path / 'a.safetensors', 'weights')


def test_a_file_with_other_logits_is_removed(tmp_path, monkeypatch):
    """And an older file stays as it is."""
    model = build(CLASSIFIER, tmp_path)
    path = tmp_path / 'model.pt'
    path.write_text('older')
    wrong = build(CLASSIFIER, tmp_path)
    with torch.no_grad():
        wrong.backbone.prompts['1'][0] *= -1
    monkeypatch.setattr(exporting, '_prepared', lambda *args: wrong)
    with pytest.raises(UsageError, match=r'\[1, 3, 32, 32\].* differ by'):
        export(model, path, 'torchscript')
    assert path.read_text() == 'older' and [*tmp_path.iterdir()] == [path]


def test_other_logits_at_another_batch_size_only(tmp_path, monkeypatch):
    class Wrong(nn.Module):
        def forward(self, images):
            return model(images) * (1.1 if len(images) == 3 else 1)

    model = build(CLASSIFIER, tmp_path)
    monkeypatch.setitem(exporting.FORMATS, 'torch', lambda *args: Wrong())
    with pytest.raises(UsageError, match=r'\[3, 3, 32, 32\].* differ by'):
        export(model, tmp_path / 'a', 'torch')


def test_not_a_number_is_a_difference(tmp_path):
    model = build(CLASSIFIER, tmp_path)
    with torch.no_grad():
        model.head.fc.bias[0] = float('nan')
    with pytest.raises(UsageError, match='differ by nan'):
        export(model, tmp_path / 'a', 'torchscript')


def test_the_model_stays_as_it_was(tmp_path):
    model = build(CLASSIFIER, tmp_path, {'model.backbone.bias': ('k', 'v')})
    before = {k: v.clone() for k, v in model.state_dict().items()}
    export(model, tmp_path / 'a', 'torchscript')
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert model.guidance is not None
    assert not [*model.backbone.prompt_cache.buffers()]


def test_images_are_described(tmp_path):
    model = build(CLASSIFIER, tmp_path)
    expected = dict(size=[32, 32], rgb=False, mean=[127.5] * 3, std=[64.0] * 3)
    assert describe_images(model, None) == expected
    model.data_preprocessor.to_rgb = True
    assert describe_images(model, [8, 16]) == expected | dict(
        size=[8, 16], rgb=True
    )
    windows = dict(mode='slide', crop_size=(24, 16), stride=(8, 8))
    changes = {
        'model.test_cfg': windows,
        'model.data_preprocessor.bgr_to_rgb': True,
    }
    for key in ('mean', 'std'):
        changes[f'model.data_preprocessor.{key}'] = None
    model = build(toy.segmentation, tmp_path, changes)
    assert describe_images(model, None) == dict(
        size=[24, 16], rgb=True, mean=[0.0] * 3, std=[1.0] * 3
    )


def test_frozen_bfloat16_is_exported_in_float32(tmp_path):
    half = {'model.backbone.frozen_dtype': 'bfloat16'}
    model = build(CLASSIFIER, tmp_path, half)
    path, info = str(tmp_path / 'model.pt'), describe_images(model, None)
    assert export_model(model, path, 'torchscript', info, False) < 1e-5
    assert model.backbone.layers[0].attn.qkv.weight.dtype == torch.bfloat16
    images = torch.randn(2, 3, *info['size'])
    exported, own = torch.jit.load(path)(images), Deployed(model)(images)
    assert exported.dtype == own.dtype == torch.float32
    assert 0 < (exported - own).norm() < 0.02 * own.norm()
