"""Initial prompts made of the tokens of training images."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmdavpt.engine.hooks import PromptInitHook
from mmdavpt.mapping import cluster
from mmdavpt.models.prompt_init import _add, _to_prompts
from tests import toy


def run(work_dir, make=toy.classification, hooks=(), **changes):
    """Train a tiny model and return the runner and its first prompts."""
    cfg = make(work_dir, changes)
    cfg['custom_hooks'] = [*cfg['custom_hooks'], *hooks]
    runner = Runner.from_cfg(Config(cfg))
    first = {}
    before_train = runner.call_hook

    def call_hook(name, **kwargs):
        before_train(name, **kwargs)
        if name == 'before_train':
            first['random'] = torch.get_rng_state()
            first['mapping'] = runner.model.guidance.mapping.clone()
            prompts = runner.model.backbone.prompts
            first.update({k: v.detach().clone() for k, v in prompts.items()})

    runner.call_hook = call_hook
    runner.train()
    return runner, first


def init_hook(**kwargs):
    return dict(type='mmdavpt.PromptInitHook', **kwargs)


def expected_prompts(method, tokens, number=3):
    """Pool tokens (B, N, C) with loops: runs of positions, or k-means."""
    if method == 'kmeans':  # of all tokens, since these are few
        rows = tokens.flatten(0, 1).numpy()
        centroids = cluster(rows, number, None, 'none', 0, 1)[1]
        return torch.tensor(centroids).float()
    length = tokens.shape[1]
    runs = [  # from N p / P to N (p + 1) / P, rounded outwards
        tokens[:, length * p // number : -(-length * (p + 1) // number)]
        for p in range(number)
    ]
    return torch.stack([run.mean(dim=(0, 1)) for run in runs])


@pytest.mark.parametrize('batch_size', [1, 5])
def test_mean_by_hand(batch_size):
    """Two images of four tokens; the first prompt is of the first two."""
    one = [[1.0, 0], [3, 0], [0, 2], [0, 8]]
    two = [[5.0, 4], [7, 4], [2, 0], [2, 2]]
    found = []
    for batch in torch.tensor([one, two]).split(batch_size):
        _add(found, batch, 2, 'mean')
    tokens = torch.cat(found)
    assert _to_prompts(tokens, 2, 'mean', 0).tolist() == [[4, 2], [1, 3]]
    assert _to_prompts(tokens, 1, 'mean', 0).tolist() == [[2.5, 2.5]]
    with pytest.raises(ValueError, match='5 prompts need at least as many'):
        _to_prompts(tokens, 5, 'mean', 0)


def test_kmeans_finds_the_clusters_of_a_sample(monkeypatch):
    monkeypatch.setattr('mmdavpt.models.prompt_init.SAMPLE', 50)
    centers = torch.tensor([[0.0, 9], [9, 0], [-9, -9]])
    noise = torch.randn(6, 30, 2, generator=torch.manual_seed(0)) * 0.1
    x = centers.repeat(1, 10, 1) + noise
    found = []
    for batch in x.split(4):
        _add(found, batch, 6, 'kmeans')
    tokens = torch.cat(found)
    # ceil(50 / 6) different tokens of each image
    assert [len(rows.unique(dim=0)) for rows in tokens.split(9)] == [9] * 6
    for rows, image in zip(tokens.split(9), x, strict=True):
        assert {*map(tuple, rows.tolist())} <= {*map(tuple, image.tolist())}
    distance = torch.cdist(
        _to_prompts(tokens, 3, 'kmeans', 0).float(), centers
    )
    assert distance.min(dim=0).values.max() < 0.1
    with pytest.raises(ValueError, match='55 prompts need .* has 54'):
        _to_prompts(tokens, 55, 'kmeans', 0)


@pytest.mark.parametrize('method', ['mean', 'kmeans'])
@pytest.mark.parametrize('make', [toy.classification, toy.segmentation])
def test_prompts_are_pooled_layer_inputs(tmp_path, make, method):
    changes = {'train_cfg.max_epochs': 1}
    if make is toy.segmentation:
        changes = {'train_cfg.max_iters': 1}
    runner, first = run(tmp_path, make, [init_hook(method=method)], **changes)
    model = runner.model.eval()
    dataset = runner.train_dataloader.dataset
    samples = [dataset[i] for i in range(len(dataset))]
    batch = {k: [s[k] for s in samples] for k in samples[0]}
    with torch.no_grad():
        images = model.data_preprocessor(batch, training=True)['inputs']
        x, *_ = model.backbone.embed(images, {})
        inputs = {'0': x[:, 1:], '1': model.backbone.layers[0](x)[:, 1:]}
    for layer, tokens in inputs.items():
        expected = expected_prompts(method, tokens)
        torch.testing.assert_close(first[layer], expected)


@pytest.mark.parametrize('num_prompts', [3, (3, 0)])
@pytest.mark.parametrize(
    'name, method',
    [
        ('vit_small_patch14_reg4_dinov2', 'mean'),  # with registers
        ('vit_small_patch16_dinov3', 'mean'),  # rotary
        ('vit_base_patch16_siglip_gap_224', 'kmeans'),  # without [CLS]
    ],
)
def test_prompts_are_inputs_of_timm_layers(
    tmp_path, name, method, num_prompts
):
    shallow = num_prompts != 3
    backbone = dict(
        type='mmdavpt.DAVPTTimmViT',
        model_name=name,
        patch_size=8,
        img_size=32,
        embed_dim=32,
        num_heads=2,
        depth=2,
        num_prompts=num_prompts,
        propagate=shallow,
        out_type='avg_featmap',
    )
    changes = {
        'train_cfg.max_epochs': 1,
        'model.backbone': backbone,
        'model.guidance.guided_layers': (0,),
    }
    runner, first = run(
        tmp_path, toy.classification, [init_hook(method=method)], **changes
    )
    vit = runner.model.eval().backbone
    inputs = []
    for block in vit.vit.blocks:
        block.register_forward_pre_hook(
            lambda _, args: inputs.append(args[0][:, vit.num_extra_tokens :])
        )
    dataset = runner.train_dataloader.dataset
    samples = [dataset[i] for i in range(len(dataset))]
    batch = {k: [s[k] for s in samples] for k in samples[0]}
    with torch.no_grad():
        images = runner.model.data_preprocessor(batch, training=True)
        vit.vit.forward_features(images['inputs'])
    assert [k for k in first if k.isdigit()] == ['0', '1'][: 2 - shallow]
    for layer in vit.prompts:
        expected = expected_prompts(method, inputs[int(layer)])
        torch.testing.assert_close(first[layer], expected, rtol=0, atol=1e-5)


def test_does_not_change_the_rest_of_the_run(tmp_path):
    _, plain = run(tmp_path / 'a')
    _, hooked = run(tmp_path / 'b', hooks=[init_hook(max_images=4)])
    assert (plain['0'] - hooked['0']).abs().max() > 0.1
    assert torch.equal(plain['random'], hooked['random'])
    assert torch.equal(plain['mapping'], hooked['mapping'])


def test_a_resumed_run_keeps_its_prompts(tmp_path):
    whole, _ = run(tmp_path / 'a', hooks=[init_hook()])
    run(tmp_path / 'b', hooks=[init_hook()], **{'train_cfg.max_epochs': 1})
    cfg = toy.classification(tmp_path / 'b')
    cfg['custom_hooks'] += [init_hook(seed=5)]
    runner = Runner.from_cfg(
        Config(
            dict(
                cfg, resume=True, load_from=str(tmp_path / 'b' / 'epoch_1.pth')
            )
        )
    )
    runner.train()
    for layer, prompts in whole.model.backbone.prompts.items():
        assert torch.equal(runner.model.backbone.prompts[layer], prompts)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(method='median'), "but got 'median'"),
        (dict(max_images=0), 'at least 1'),
        (dict(seed=-1), '`seed` should be .*at least 0'),
    ],
)
def test_invalid_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PromptInitHook(**kwargs)


def test_another_backbone_is_rejected(tmp_path):
    cfg = toy.classification(tmp_path, {'model.guidance': None})
    cfg['model']['backbone'] = dict(
        type='VisionTransformer', arch=toy.ARCH, img_size=32, patch_size=8
    )
    cfg['custom_hooks'] = [init_hook()]
    with pytest.raises(TypeError, match='needs a backbone of type DAVPT'):
        Runner.from_cfg(Config(cfg)).train()
