"""Strict loading of pre-trained weights."""

import logging
from contextlib import contextmanager

import pytest
import torch
from mmengine.logging import MMLogger
from mmpretrain.models import VisionTransformer

from mmdavpt.errors import UsageError

from ..test_backbones.test_davpt_vit import ARCH, build, images
from . import foreign


@contextmanager
def logged(level='INFO'):
    """Collect the lines that the loader logs."""
    lines = []
    handler = logging.Handler(level)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


def parent(**kwargs):
    torch.manual_seed(3)
    vit = VisionTransformer(
        **{**dict(arch=ARCH, img_size=32, patch_size=8), **kwargs}
    )
    vit.init_weights()
    return vit


def save(path, vit, prefix='', **extra):
    state = {prefix + k: v for k, v in vit.state_dict().items()}
    torch.save(dict(state_dict={**state, **extra}), path)
    return str(path)


@pytest.mark.parametrize(
    'prefix, given',
    [
        ('', None),
        ('backbone.', None),
        ('backbone.', 'backbone'),
        ('net.', 'net.'),
    ],
)
def test_load_every_weight(tmp_path, prefix, given):
    vit = parent()
    path = save(
        tmp_path / 'vit.pth', vit, prefix, **{'head.bias': torch.zeros(3)}
    )
    init_cfg = dict(type='Pretrained', checkpoint=path)
    if given is not None:
        init_cfg['prefix'] = given
    ours = build(torch.float32, perturb=False, init_cfg=init_cfg)
    prompts = ours.prompts['0'].clone()
    ours.init_weights()
    x = images(dtype=torch.float32)
    vit.eval(), ours.eval()
    torch.testing.assert_close(ours.unprompted_tokens(x).cls, vit(x)[0])
    assert torch.equal(ours.prompts['0'], prompts)


def test_load_prompts_of_own_checkpoint(tmp_path):
    tuned = build(torch.float32, bias=('v',))
    path = save(tmp_path / 'vit.pth', tuned)
    ours = build(
        torch.float32,
        perturb=False,
        bias=('v',),
        init_cfg=dict(type='Pretrained', checkpoint=path),
    )
    ours.init_weights()
    for name, value in tuned.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


def refusal(tmp_path, state, given=None, **kwargs):
    """Return the sentence that refuses a checkpoint."""
    torch.save(state, tmp_path / 'vit.pth')
    ours = build(
        init_cfg=dict(
            type='Pretrained',
            checkpoint=str(tmp_path / 'vit.pth'),
            prefix=given,
        ),
        **kwargs,
    )
    before = {k: v.clone() for k, v in ours.state_dict().items()}
    with pytest.raises(UsageError) as error:
        ours.init_weights()
    assert str(tmp_path / 'vit.pth') in str(error.value)
    changed = [
        k for k, v in ours.state_dict().items() if (v != before[k]).any()
    ]
    # The parent's random start has run, but nothing of the file was taken.
    assert not any(
        torch.equal(ours.state_dict()[k].float(), state[k])
        for k in changed
        if k in state and state[k].std() > 0
    )
    return str(error.value)


def test_reject_unknown_prefix(tmp_path):
    state = {f'x.{k}': v for k, v in parent().state_dict().items()}
    message = refusal(tmp_path, state, given='backbone.')
    assert "no Vision Transformer under the prefix 'backbone.'" in message
    assert "but under 'x.'; correct init_cfg.prefix" in message


def test_require_prefix_for_several_towers(tmp_path):
    state = {
        f'{tower}.{k}': v
        for tower in 'ab'
        for k, v in parent().state_dict().items()
    }
    assert "under 'a.' and 'b.'; set init_cfg" in refusal(tmp_path, state)
    init_cfg = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'vit.pth'), prefix='b'
    )
    build(init_cfg=init_cfg).init_weights()


def test_reject_files_without_vit(tmp_path):
    message = refusal(tmp_path, {'conv1.weight': torch.zeros(3)})
    assert 'should hold a Vision Transformer with names of timm' in message
    assert "such as ['conv1.weight']" in message


def test_list_missing_weights(tmp_path):
    state = parent().state_dict()
    del state['layers.1.ln2.bias'], state['ln1.weight']
    message = refusal(tmp_path, state)
    assert 'is missing layers.1.ln2.bias, ln1.weight; set arch' in message


@pytest.mark.parametrize('shape', [None, (7,), (7, 7), (1, 32, 3, 8, 8)])
@pytest.mark.parametrize(
    'maker, key',
    [
        ('plain', 'patch_embed.proj.weight'),
        ('mae', 'patch_embed.proj.weight'),
        ('open_clip_tower', 'visual.conv1.weight'),
        ('mmseg_vit', 'backbone.patch_embed.projection.weight'),
    ],
)
def test_report_damaged_patch_embedding(tmp_path, maker, key, shape):
    state = getattr(foreign, maker)()[0]
    state = state.get('state_dict', state.get('model', state))
    del state[key]
    if shape is not None:
        state[key] = torch.zeros(shape)
    message = refusal(tmp_path, state)
    assert 'the checkpoint, with names of' in message


def test_reject_missing_layer(tmp_path):
    state = {
        k: v
        for k, v in parent().state_dict().items()
        if not k.startswith('layers.2.')
    }
    message = refusal(tmp_path, state)
    assert 'is missing 12 (such as layers.2.' in message


@pytest.mark.parametrize(
    'kwargs, named',
    [
        (dict(layer_scale_init_value=0.1), 'layers.0.attn.gamma1.weight'),
        (dict(pre_norm=True), 'pre_norm.weight'),
        (dict(arch=dict(ARCH, num_layers=4)), 'layers.3.ln1.weight'),
    ],
)
def test_reject_unexpected_weights(tmp_path, kwargs, named):
    """The backbone would compute something else without them."""
    message = refusal(tmp_path, parent(**kwargs).state_dict())
    assert 'has unexpected ' in message
    assert named.split('.')[0] in message


@pytest.mark.parametrize('key', ['reg_token', 'blocks.0.attn.q_norm.weight'])
def test_reject_unexpected_weights_of_timm(tmp_path, key):
    state = foreign.timm_vit(mlp_ratio=1.5).state_dict()
    state[key] = torch.zeros(1, 4, 32)
    message = refusal(tmp_path, state)
    assert f'has unexpected {key}; set arch' in message


def test_reject_wrong_shapes(tmp_path):
    arch = dict(ARCH, embed_dims=16)
    message = refusal(tmp_path, parent(arch=arch).state_dict())
    assert 'cls_token (should be (1, 1, 32), but is (1, 1, 16))' in message


def test_reject_other_patch_size(tmp_path):
    state = parent(patch_size=16).state_dict()
    message = refusal(tmp_path, state)
    assert '(should be (32, 3, 8, 8), but is (32, 3, 16, 16))' in message


def test_reject_non_square_positions(tmp_path):
    state = parent().state_dict()
    state['pos_embed'] = state['pos_embed'][:, :13]
    message = refusal(tmp_path, state)
    assert 'pos_embed (should be (1, 17, 32), but is (1, 13, 32))' in message


def test_keep_own_non_square_grid(tmp_path):
    vit = parent(img_size=(16, 64))  # 2 x 8 patches, as many as 4 x 4
    torch.save(vit.state_dict(), tmp_path / 'vit.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'vit.pth'))
    ours = build(torch.float32, img_size=(16, 64), init_cfg=init_cfg)
    ours.init_weights()
    assert torch.equal(ours.pos_embed, vit.pos_embed)


def test_drop_final_norm_if_backbone_has_none(tmp_path):
    torch.save(parent().state_dict(), tmp_path / 'vit.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'vit.pth'))
    ours = build(final_norm=False, out_type='featmap', init_cfg=init_cfg)
    with logged() as lines:
        ours.init_weights()
    assert 'skipped: ln1.weight, ln1.bias' in ''.join(lines)


def test_pooling_norm_may_be_missing(tmp_path):
    torch.save(parent().state_dict(), tmp_path / 'vit.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'vit.pth'))
    ours = build(
        perturb=False,
        final_norm=False,
        out_type='avg_featmap',
        init_cfg=init_cfg,
    )
    with logged() as lines:
        ours.init_weights()
    assert 'not loaded: ln2.weight, ln2.bias' in ''.join(lines)
    assert torch.equal(ours.ln2.weight, torch.ones_like(ours.ln2.weight))


def test_log_summarizes_many_head_keys(tmp_path):
    state = parent().state_dict()
    state.update(
        {f'decode_head.convs.{i}.weight': torch.zeros(1) for i in range(20)}
    )
    torch.save(state, tmp_path / 'vit.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'vit.pth'))
    with logged() as lines:
        build(init_cfg=init_cfg).init_weights()
    loaded = [line for line in lines if line.startswith('Loaded')]
    assert len(loaded) == 1
    assert 'skipped: 20 (such as decode_head' in loaded[0]


@pytest.mark.parametrize(
    'maker, option, expected',
    [
        ('timm_clip', {}, 'eps 1e-05, but the backbone has 1e-06'),
        (
            'open_clip_tower',
            dict(quick_gelu=True),
            'was trained with QuickGELU, but the backbone has another',
        ),
        ('plain', {}, ''),
    ],
)
def test_warn_of_other_eps_or_activation(tmp_path, maker, option, expected):
    state, _, here = getattr(foreign, maker)(**option)
    torch.save(state, tmp_path / 'vit.pth')
    here = {k: v for k, v in here.items() if k in (*foreign.HERE, 'pre_norm')}
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'vit.pth'))
    with logged('WARNING') as lines:
        build(torch.float32, **here, init_cfg=init_cfg).init_weights()
    assert expected in ''.join(lines)
    assert bool(lines) == bool(expected)


def test_report_missing_file(tmp_path):
    ours = build(
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'no.pth'))
    )
    with pytest.raises(FileNotFoundError, match='no.pth does not exist'):
        ours.init_weights()


def test_expand_home_and_accept_list(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    save(tmp_path / 'vit.pth', parent())
    init_cfg = dict(type='Pretrained', checkpoint='~/vit.pth')
    ours = build(torch.float32, init_cfg=[init_cfg])
    ours.init_weights()
    assert torch.equal(ours.pos_embed, parent().pos_embed)
    with pytest.raises(ValueError, match='should be the only one'):
        build(init_cfg=[dict(type='Kaiming', layer='Conv2d'), init_cfg])


@pytest.mark.parametrize(
    'init_cfg',
    [
        dict(checkpoint='a.pth', map_location='cpu'),
        dict(checkpont='a.pth'),
        dict(),
    ],
)
def test_reject_unknown_init_cfg_keys(init_cfg):
    with pytest.raises(TypeError, match='checkpoint|checkpont|map_location'):
        build(init_cfg=dict(type='Pretrained', **init_cfg))


@pytest.mark.parametrize(
    'damage', [lambda x: x * float('nan'), lambda x: x.to(torch.int8)]
)
def test_reject_non_finite_or_quantized_values(tmp_path, damage):
    state = parent().state_dict()
    state['layers.1.ln2.weight'] = damage(state['layers.1.ln2.weight'])
    message = refusal(tmp_path, state)
    assert 'numbers, but does not in layers.1.ln2.weight' in message


def test_load_gates_of_own_checkpoint(tmp_path):
    tuned = build(torch.float32, propagate='gate')
    path = save(tmp_path / 'vit.pth', tuned, 'backbone.')
    init_cfg = dict(type='Pretrained', checkpoint=path)
    ours = build(torch.float32, propagate='gate', init_cfg=init_cfg)
    ours.init_weights()
    assert torch.equal(ours.gate_logits, tuned.gate_logits)


@pytest.mark.parametrize('trainable', [(), ('*',)])
def test_warn_of_frozen_random_backbone(trainable):
    with logged('WARNING') as lines:
        build(trainable=trainable).init_weights()
    assert ('tuned on random features' in ''.join(lines)) == (not trainable)
