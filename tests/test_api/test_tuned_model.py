"""Models of the Python API: their methods, losses, mapping and mistakes."""

import copy
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from PIL import Image
from safetensors.torch import save_file
from torch import multiprocessing as mp

import mmdavpt
from mmdavpt.config_source import RECOMMENDED
from mmdavpt.errors import UsageError
from mmdavpt.mapping import cluster

from .tiny_timm import use_tiny_models

ROOT = Path(__file__).parents[2]
DINO = 'vit_small_patch14_dinov2'
SIZE = 28


@pytest.fixture(autouse=True)
def tiny_models(monkeypatch):
    use_tiny_models(monkeypatch)


def create(method='davpt', **settings):
    torch.manual_seed(0)
    settings = dict(num_classes=3, size=SIZE, num_prompts=2) | settings
    return mmdavpt.create_model(DINO, method, **settings)


def batch(seed=0, images=6):
    """Return uint8 images, classes and masks."""
    generator = torch.Generator().manual_seed(seed)
    shape = (images, 3, SIZE, SIZE)
    pixels = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    masks = torch.randint(3, (images, SIZE, SIZE), generator=generator)
    return pixels, torch.arange(images) % 3, masks


def methods(task):
    return [*Config.fromfile(RECOMMENDED / f'{task}.py').methods, 'SSF']


@pytest.mark.parametrize('method', methods('classification'))
def test_every_method_classifies(method):
    model = create(method)
    images, labels, _ = batch()
    model.fit_mapping([(images, labels)])
    losses = model(images, labels)
    losses['loss'].backward()
    assert ('loss_guidance_token' in losses) == method.startswith('davpt')
    assert model.eval()(images).shape == (6, 3)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert any(n.startswith('model.head.') for n in trained)
    frozen = all(not n.startswith('model.backbone.vit.') for n in trained)
    assert frozen == (method not in ('full', 'bias'))


@pytest.mark.parametrize('method', methods('segmentation'))
def test_every_method_segments(method):
    model = create(method, task='segmentation', head='linear')
    images, _, masks = batch()
    masks[0] = 255  # no class
    model.fit_mapping([(images, masks)])
    model(images, masks)['loss'].backward()
    wide = torch.rand(2, 3, SIZE, 2 * SIZE)  # slides over it
    assert model.eval()(wide).shape == (2, 3, SIZE, 2 * SIZE)


@pytest.mark.parametrize('head', ['naive', 'pup', 'mla', 'uper', 'segmenter'])
def test_heads(head):
    model = create('vpt', task='segmentation', head=head)
    images, _, masks = batch()
    model(images, masks)['loss'].backward()


def test_losses_equal_those_of_a_pipeline():
    images, labels, masks = batch()
    bgr = [image.flip(0) for image in images]
    for task in ('classification', 'segmentation'):
        guided = dict(task=task, token_weight=0.1)
        model = create(**guided)
        if task == 'classification':
            given = labels
            samples = [DataSample().set_gt_label(int(n)) for n in labels]
        else:
            given = masks
            samples = [
                SegDataSample(gt_sem_seg=PixelData(data=m[None]))
                for m in masks
            ]
        model.fit_mapping([(images, given)])
        losses = copy.deepcopy(model)(images, given)
        inner = model.model
        data = inner.data_preprocessor(
            dict(inputs=bgr, data_samples=samples), True
        )
        expected = inner.parse_losses(inner.loss(**data))[1]
        assert losses.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.equal(losses[name], value), name


def test_images_are_normalized_once_and_as_rgb():
    model = create('linear').eval()
    images = batch()[0]
    mean = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
    std = torch.tensor([58.395, 57.12, 57.375])[:, None, None]
    inner = model.model
    features = inner.backbone((images - mean) / std)
    expected = inner.head(features)
    torch.testing.assert_close(model(images), expected)
    torch.testing.assert_close(model(images / 255), expected)
    with pytest.raises(UsageError, match='drop Normalize'):
        model((images - mean) / std)


def test_weights_that_do_not_state_their_normalization():
    name = str(ROOT / 'checkpoints/vit-tiny_glyphs.pth')
    sizes = dict(num_classes=3, size=32, arch=dict(num_heads=3))
    with pytest.warns(UserWarning, match='has those of ImageNet; set `mean'):
        mmdavpt.create_model(name, **sizes)
    given = dict(mean=[127.5] * 3, std=[64.0] * 3)
    with warnings.catch_warnings():
        warnings.filterwarnings('error', '.*does not state')
        mmdavpt.create_model(name, **sizes, **given)


def test_no_weights():
    models = [create(pretrained=value) for value in (None, False)]
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in second)


def test_heads_that_weights_do_not_state():
    name = str(ROOT / 'checkpoints/vit-tiny_glyphs.pth')
    with pytest.raises(UsageError, match=r'add arch=dict\(num_heads=\.\.\.'):
        mmdavpt.create_model(name, num_classes=3, size=32)


def test_normalization_of_a_file_for_a_model_of_timm(tmp_path):
    path = tmp_path / 'model.safetensors'
    state = timm.create_model(DINO, num_classes=0).state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    with pytest.warns(UserWarning, match=f'has those of timm for {DINO}; set'):
        model = create(pretrained=str(path))
    mean = model.model.data_preprocessor.mean.flatten().tolist()
    assert mean == pytest.approx([123.675, 116.28, 103.53])
    declared = dict(mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6])
    config = dict(architecture=DINO, pretrained_cfg=declared)
    (tmp_path / 'config.json').write_text(json.dumps(config))
    with warnings.catch_warnings():
        warnings.filterwarnings('error', '.*does not state')
        model = create(pretrained=str(path))
    preprocessor = model.model.data_preprocessor
    assert preprocessor.mean.flatten().tolist() == pytest.approx(
        [25.5, 51, 76.5]
    )
    assert preprocessor.std.flatten().tolist() == pytest.approx(
        [102, 127.5, 153]
    )
    given = dict(mean=[1.0] * 3, std=[2.0] * 3)
    model = create(pretrained=str(path), **given)
    assert model.model.data_preprocessor.mean.flatten().tolist() == [1.0] * 3


def test_prompts_start_as_tokens_of_the_first_images():
    images, labels, _ = batch()
    batches = [(images[:2], labels[:2]), (images[2:4], labels[2:4])]
    model, other = create(), create()
    state = torch.get_rng_state()
    model.init_prompts([*batches, (images[4:], labels[4:])], num_images=3)
    assert torch.equal(torch.get_rng_state(), state)
    other.init_prompts(batches)
    prompts = model.model.backbone.prompts
    for layer, same in other.model.backbone.prompts.items():
        assert torch.equal(prompts[layer], same)
    data = model.model.data_preprocessor(dict(inputs=[*images[:4].flip(1)]))
    tokens = [*model.model.backbone.eval().layer_inputs(data['inputs'])]
    with torch.no_grad():  # all tokens, since these are few
        for layer, same in prompts.items():
            rows = tokens[int(layer)].flatten(0, 1).numpy()
            _, centers = cluster(rows, len(same), None, 'none', 0, 1)
            torch.testing.assert_close(same, torch.tensor(centers).float())


def test_fit_mapping_clusters_the_class_means():
    model = create()
    images, labels, _ = batch()
    state = torch.get_rng_state()
    model.fit_mapping(
        (images[i : i + 2], labels[i : i + 2]) for i in (0, 2, 4)
    )
    assert torch.equal(torch.get_rng_state(), state)
    inner = model.model
    data = inner.data_preprocessor(dict(inputs=[*images.flip(1)]))
    cls = inner.backbone.eval().unprompted_tokens(data['inputs']).cls
    means = torch.stack([cls[labels == k].mean(0) for k in range(3)])
    found = inner.guidance.representations
    torch.testing.assert_close(found, means)
    assert set(inner.guidance.mapping.tolist()) == {0, 1}


def train_rank(rank, store, results):
    """Fit, train and refresh under DDP; rank k has every second image."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        use_tiny_models(patch)
        torch.distributed.init_process_group(
            'gloo', f'file://{store}', rank=rank, world_size=2
        )
        results[rank] = fit_and_train(rank, 2)
        torch.distributed.destroy_process_group()


def fit_and_train(rank, ranks):
    """Return the mapping's state after an epoch of two batches."""
    model = create()
    wrapped = model
    if ranks > 1:
        wrapped = torch.nn.parallel.DistributedDataParallel(model)
    batches = []
    for seed in range(2):
        images, labels, _ = batch(seed)
        batches.append((images[rank::ranks], labels[rank::ranks]))
    model.fit_mapping(batches)
    for images, labels in batches:
        wrapped(images, labels)['loss'].backward()
    guidance = model.model.guidance
    guidance.collect()
    return guidance.class_sums.numpy(), guidance.class_counts.numpy()


def test_ddp_sums_the_classes_of_all_processes(tmp_path):
    """PyTorch's DDP copies the buffers of rank 0 in every iteration."""
    results = mp.get_context('spawn').Manager().dict()
    mp.spawn(train_rank, (tmp_path / 'store', results), nprocs=2)
    sums, counts = fit_and_train(0, 1)
    for rank in range(2):
        np.testing.assert_array_equal(results[rank][1], counts)
        np.testing.assert_allclose(results[rank][0], sums, atol=1e-4)


def test_tensors_that_are_no_buffers_follow_the_model():
    guidance = create().to(torch.float64).model.guidance
    assert guidance.new_sums.dtype == torch.float64
    assert guidance.new_counts.dtype == torch.int64
    assert create().to('meta').model.guidance.new_sums.is_meta


def test_the_preprocessor_follows_the_model():
    """Only mmengine's own `to` tells it."""
    model = torch.nn.Sequential(create('linear')).to('meta')[0]
    assert model.model.data_preprocessor.device.type == 'meta'
    assert model(batch()[0]).is_meta


def test_frozen_modules_start_in_eval_mode():
    """Loops such as Lightning's do not call `train`."""
    model = create('linear')
    assert model.training and model.model.head.training
    leaves = [
        m for m in model.model.backbone.vit.modules() if not [*m.children()]
    ]
    assert leaves and not any(leaf.training for leaf in leaves)


def test_groups_of_the_optimizer_are_those_of_the_config():
    model = create('davpt-plus', lr=0.25)
    groups = mmdavpt.trainable_parameters(model)
    cfg = ConfigDict(model.spec['optim_wrapper'])
    expected = build_optim_wrapper(model.model, cfg).optimizer.param_groups
    assert [g['weight_decay'] for g in groups] == [
        g['weight_decay'] for g in expected
    ]
    assert {g['weight_decay'] for g in groups} == {0.0, 0.01}
    assert {g['lr'] for g in groups} == {0.25}
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert {id(p) for g in groups for p in g['params']} == trained


def test_settings_reach_the_config():
    names = ['crow', 'gull']
    model = create(classes=names, num_prompts=5, cls_weight=0.5)
    assert model.classes == names
    assert model.model.backbone.prompts['0'].shape[-2] == 5
    assert model.spec['model']['guidance']['loss']['cls_weight'] == 0.5


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(name='vit_smal_patch14_dinov2'), "mean 'vit_small_patch14_dino"),
        (dict(name='resnet18'), 'VisionTransformer or Eva'),
        (dict(method='loora'), "did you mean 'LoRA'"),
        (dict(task='detection'), 'task should be'),
        (dict(size=30), 'size should be a multiple of 14'),
        (dict(num_promts=3), "did you mean 'num_prompts'"),
        (
            dict(frozen_dtype='float16'),
            r"one of \(None, 'bfloat16'\), but got",
        ),
        (dict(frozen_dtype='bfloat16', method='full'), 'has no effect'),
        (dict(task='segmentation', head='fcn'), 'head should be one of'),
    ],
)
def test_mistakes(arguments, message, monkeypatch):
    if arguments.get('name') == 'resnet18':
        monkeypatch.undo()
    with pytest.raises(UsageError, match=message):
        mmdavpt.create_model(**dict(name=DINO) | arguments)


def test_transform_is_the_test_pipeline(tmp_path):
    model = create()
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / 'a.png')
    expected = image.resize((38, 32), Image.BICUBIC)  # short edge 28 * 8 // 7
    expected = np.asarray(expected)[2:30, 5:33].transpose(2, 0, 1)
    transform = pickle.loads(pickle.dumps(model.transform))  # for workers
    for given in (str(tmp_path / 'a.png'), tmp_path / 'a.png', pixels, image):
        assert np.array_equal(transform(given).numpy(), expected)
    with pytest.raises(UsageError, match='should be RGB'):
        transform(pixels[..., 0])
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 256)
    with pytest.raises(UsageError, match='mode I;16 is no RGB'):
        transform(deep)
    (tmp_path / 'b.png').write_bytes(b'no image')
    with pytest.raises(UsageError, match=r'b\.png cannot be read'):
        transform(tmp_path / 'b.png')
