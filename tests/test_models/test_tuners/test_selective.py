"""Tuners with a selection: E2VPT and SPT against their formulas."""

import copy
import math

import pytest
import torch
from torch import nn

from mmdavpt.errors import UsageError
from mmdavpt.models import DAVPTTimmViT, DAVPTVisionTransformer
from mmdavpt.models.export import fold_tuners
from mmdavpt.models.tuners import PARTS
from mmdavpt.models.tuners.e2vpt import _keep
from mmdavpt.models.tuners.spt import within_budget

from ..test_backbones.test_davpt_vit import build, gradients, images
from .test_methods import by_hand

E2VPT = dict(type='E2VPT', num_tokens=2, prune_tokens=0.5, prune_pieces=0.3)
SPT = dict(type='SPT', rank=2, budget=900)
TIMM = dict(
    model_name='vit_small_patch16_dinov3',
    patch_size=8,
    img_size=32,
    embed_dim=32,
    num_heads=2,
    depth=2,
    num_prompts=4,
)


def build_timm(**kwargs):
    torch.manual_seed(0)
    vit = DAVPTTimmViT(**{**TIMM, **kwargs}).double()
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return vit


def random_scores(vit, tuner, seed=0):
    """Return scores that are mostly small, as sensitivities are."""
    generator = torch.Generator().manual_seed(seed)
    return {
        p: tuner.score(
            p.detach(), torch.randn(p.shape, generator=generator).pow(3)
        )
        for p in tuner.watched(vit)
    }


def select(config, path, make=build, scores=random_scores, **kwargs):
    """Write the selection of a tuner, and return the config that takes it."""
    vit = make(tuners=[config], **kwargs)
    name = config['type']
    tuner = vit.tuners[name]
    state = tuner.selection_state(vit, scores(vit, tuner))
    state = {f'backbone.tuners.{name}.{k}': v for k, v in state.items()}
    torch.save(dict(state_dict=state), path)
    return dict(config, selection=str(path))


@pytest.fixture
def file(tmp_path):
    return tmp_path / 'selection.pth'


def count(vit):
    return sum(p.numel() for p in vit.parameters() if p.requires_grad)


# --- the budget of SPT ----------------------------------------------------


@pytest.mark.parametrize(
    'budget, chosen',
    [
        (1, [[9], []]),
        (3, [[9], []]),  # the second entry of a row costs its module, 4
        (4, [[9, 8, 7], []]),
        (5, [[9, 8, 7], [6]]),
        (7, [[9, 8, 7], [6]]),
        (8, [[9, 8, 7, 1], [6, 5]]),  # never those of score 0
    ],
)
def test_budget_by_hand(budget, chosen):
    scores = [torch.tensor([9.0, 1, 8, 7]), torch.tensor([0.0, 6, 5, 0])]
    masks = within_budget(scores, sizes=[4, 4], alpha=2, budget=budget)
    found = [s[m].tolist() for s, m in zip(scores, masks, strict=True)]
    assert [sorted(f, reverse=True) for f in found] == chosen


@pytest.mark.parametrize('seed', range(20))
def test_budget_is_used_and_not_exceeded(seed):
    generator = torch.Generator().manual_seed(seed)
    scores = [
        torch.rand(3 + i, 5, generator=generator).pow(6) for i in range(4)
    ]
    sizes, alpha, budget = [6, 7, 8, 9], 2.5, 4 + 2 * seed

    def cost(threshold):
        counts = [sum(v >= threshold for v in s.flatten()) for s in scores]
        return sum(
            size if n >= size / alpha else int(n)
            for n, size in zip(counts, sizes, strict=True)
        )

    masks = within_budget(scores, sizes, alpha, budget)
    chosen = torch.cat([s[m] for s, m in zip(scores, masks, strict=True)])
    rest = torch.cat([s[~m] for s, m in zip(scores, masks, strict=True)])
    assert cost(chosen.min()) <= budget
    if len(rest):
        assert chosen.min() > rest.max() and cost(rest.max()) > budget


def reference_selection(vit, scores, budget, rank, alpha, adapter):
    """Return the chosen indices of each projection, one entry at a time."""
    ranked, sizes = [], {}
    for i, layer in enumerate(vit.layers):
        weights = dict(
            zip('qkv', scores[layer.attn.qkv.weight].chunk(3), strict=True),
            proj=scores[layer.attn.proj.weight],
            fc1=scores[layer.ffn.layers[0][0].weight],
            fc2=scores[layer.ffn.layers[1].weight],
        )
        for part in PARTS:
            rows, columns = weights[part].shape
            size = rank * (rows + columns)
            if adapter:
                size = rank * rows * 2 + rank + rows
            sizes[i, part] = size
            for j, value in enumerate(weights[part].flatten().tolist()):
                ranked.append((value, (i, part), j))
    ranked.sort(reverse=True)
    best, chosen = {}, {}
    for _, place, j in ranked:
        chosen.setdefault(place, []).append(j)
        total = sum(
            sizes[p] if len(c) >= sizes[p] / alpha else len(c)
            for p, c in chosen.items()
        )
        if total > budget:
            return best
        best = {
            p: [] if len(c) >= sizes[p] / alpha else sorted(c)
            for p, c in chosen.items()
        }
    return best


@pytest.mark.parametrize('form', ['lora', 'adapter'])
@pytest.mark.parametrize('budget', [40, 400, 900])
def test_selection_of_spt_is_that_of_a_slow_reference(form, budget, file):
    config = dict(SPT, form=form, budget=budget)
    vit = build(tuners=[config])
    scores = random_scores(vit, vit.tuners.SPT)
    expected = reference_selection(
        vit, scores, budget, 2, 10, form == 'adapter'
    )
    tuned = build(tuners=[select(config, file)], num_prompts=0)
    buffers = dict(tuned.tuners.SPT.named_buffers())
    found = {
        (int(name.split('_')[1]), name.split('_')[2]): value.tolist()
        for name, value in buffers.items()
        if name.startswith('indices')
    }
    assert found == expected
    assert budget / 2 < count(tuned) <= budget
    kinds = {bool(c) for c in expected.values()}
    assert kinds == ({True} if budget == 40 else {True, False})


# --- the formulas of SPT --------------------------------------------------


@pytest.mark.parametrize('make', [build, build_timm])
@pytest.mark.parametrize('form', ['lora', 'adapter'])
def test_untrained_spt_changes_nothing(form, make, file):
    config = select(dict(SPT, form=form), file, make)
    vit = make(tuners=[config])
    plain = make()
    plain.load_state_dict(vit.state_dict(), strict=False)
    assert not torch.equal(vit(images())[0], plain(images())[0])
    for name, parameter in vit.tuners.named_parameters():
        if 'values' in name or '.2.' in name:
            parameter.data.zero_()
    assert torch.equal(vit(images())[0], plain(images())[0])
    fresh = DAVPTVisionTransformer if make is build else DAVPTTimmViT
    start = fresh(**vit_arguments(make), tuners=[config]).tuners.SPT
    assert all(not values.any() for values in start.values.values())
    for module in start.low_rank.values():
        assert not any(p.any() for p in module[2].parameters())
        assert module[0].weight.any()


def vit_arguments(make):
    if make is build_timm:
        return TIMM
    arch = dict(
        embed_dims=32, num_layers=3, num_heads=4, feedforward_channels=48
    )
    return dict(arch=arch, img_size=32, patch_size=8, num_prompts=4)


@pytest.mark.parametrize('make', [build, build_timm])
def test_spt_changes_single_weights(make, file):
    """Its outputs and gradients are those of tuned frozen weights."""
    config = select(dict(SPT, budget=60, alpha=1), file, make)
    vit = make(tuners=[config], out_type='featmap').train(False)
    spt = vit.tuners.SPT
    assert len(spt.values) > 3 and not len(spt.low_rank)
    plain = make(trainable=('*',), out_type='featmap').train(False)
    plain.load_state_dict(vit.state_dict(), strict=False)
    entries = {}
    for name, values in spt.values.items():
        layer, part = name.split('_')
        module, rows = plain.linear(int(layer), part)
        width = module.in_features
        first = range(module.out_features)[rows].start
        indices = spt._buffers[f'indices_{name}'] + first * width
        entries[name] = module.weight, indices
        with torch.no_grad():
            module.weight.view(-1)[indices] += values
    out, expected = vit(images()), plain(images())
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    ours, theirs = gradients(out, vit), gradients(expected, plain)
    names = {id(p): n for n, p in plain.named_parameters()}
    for name, (weight, indices) in entries.items():
        grad = theirs[names[id(weight)]].flatten()[indices]
        torch.testing.assert_close(
            ours[f'tuners.SPT.values.{name}'], grad, rtol=1e-9, atol=1e-11
        )


@pytest.mark.parametrize('form', ['lora', 'adapter'])
def test_modules_of_spt_are_their_formula(form, file):
    def of_values(vit, tuner):
        scores = {p: torch.zeros_like(p) for p in tuner.watched(vit)}
        for score in scores.values():
            score[64:] = 1
        return scores

    config = dict(SPT, form=form, targets=('v', 'k'))
    config = select(config, file, build, of_values)
    vit = build(num_prompts=0, tuners=[config]).eval()
    spt = vit.tuners.SPT
    assert [*spt.low_rank] == ['0_v', '1_v', '2_v'] and not len(spt.values)
    assert count(vit) == 3 * (2 * 64 if form == 'lora' else 2 * 65 + 32)

    def change(i, point, x, y):
        if point != 'qkv':
            return y
        query, key, value = y.chunk(3, -1)
        state = dict(spt.low_rank[f'{i}_v'].named_parameters())
        if form == 'lora':
            assert len(state) == 2
            value = value + x @ state['0.weight'].T @ state['2.weight'].T
        else:
            hidden = value @ state['0.weight'].T + state['0.bias']
            hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
            value = value + hidden @ state['2.weight'].T + state['2.bias']
        return torch.cat([query, key, value], -1)

    torch.testing.assert_close(
        vit(images())[0], by_hand(vit, change), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize('make', [build, build_timm])
def test_everything_in_spt_and_e2vpt_learns(make, tmp_path):
    configs = [
        select(dict(SPT, form='adapter'), tmp_path / 'spt.pth', make),
        select(E2VPT, tmp_path / 'e2vpt.pth', make),
    ]
    vit = make(tuners=configs, out_type='featmap')
    for name, grad in gradients(vit(images()), vit).items():
        # Shifts of all keys have none.
        if not name.endswith('_k.2.bias'):
            assert grad.abs().max() > 1e-9, name


@pytest.mark.parametrize('make', [build, build_timm])
def test_spt_folds_with_others_in_any_order(make, file):
    spt = select(SPT, file, make)
    for tuners in ([spt], [dict(type='LoRA'), spt], [spt, dict(type='LoRA')]):
        tuned, folded = make(tuners=tuners), make()
        folded.load_state_dict(fold_tuners(tuned))
        torch.testing.assert_close(
            folded(images())[0], tuned(images())[0], rtol=0, atol=1e-11
        )
    assert {*tuned.tuners.SPT.values} and {*tuned.tuners.SPT.low_rank}


def test_spt_folds_between_scales(file):
    for order in (1, -1):
        tuners = [select(SPT, file), dict(type='SSF')][::order]
        tuned, folded = build(tuners=tuners), build()
        folded.load_state_dict(fold_tuners(tuned))
        torch.testing.assert_close(
            folded(images())[0], tuned(images())[0], rtol=0, atol=1e-10
        )


def test_adapters_of_spt_do_not_fold(file):
    vit = build(tuners=[select(dict(SPT, form='adapter'), file)])
    with pytest.raises(UsageError, match='SPT cannot be folded'):
        fold_tuners(vit)


# --- E2VPT ----------------------------------------------------------------


def test_parameters_of_e2vpt_on_vit_b():
    with torch.device('meta'):
        vit = DAVPTVisionTransformer(
            arch='b', num_prompts=5, tuners=[dict(type='E2VPT')]
        )
    assert count(vit) == 92_160


def test_rows_of_e2vpt_are_keys_and_values():
    vit = build(num_prompts=0, tuners=[dict(type='E2VPT', num_tokens=3)])
    tokens = vit.tuners.E2VPT.tokens
    assert tokens.shape == (3, 3, 32)
    x, *_ = vit.embed(images(), {})
    for i, layer in enumerate(vit.layers):
        out = torch.zeros_like(x)
        query, key, value = layer.attn.qkv(layer.ln1(x)).chunk(3, -1)
        for b in range(2):
            for h in range(4):
                head = slice(8 * h, 8 * h + 8)
                keys = torch.cat([tokens[i, :, head], key[b, :, head]])
                values = torch.cat([tokens[i, :, head], value[b, :, head]])
                scores = query[b, :, head] @ keys.T / math.sqrt(8)
                out[b, :, head] = scores.softmax(-1) @ values
        x = x + layer.attn.proj(out)
        x = x + layer.ffn.layers(layer.ln2(x))
    torch.testing.assert_close(
        vit(images())[0], vit.ln1(x)[:, 0], rtol=0, atol=1e-10
    )


def test_first_rows_of_e2vpt_are_kaimings():
    torch.manual_seed(0)
    vit = build(perturb=False, tuners=[dict(type='E2VPT', num_tokens=5)])
    tokens, bound = vit.tuners.E2VPT.tokens, math.sqrt(6 / (5 * 8))
    assert 0.95 * bound < tokens.abs().max() <= bound


def test_importance_is_the_gradient_of_masks():
    vit = build(tuners=[dict(type='E2VPT')], out_type='featmap')
    tuner, prompts = vit.tuners.E2VPT, vit.prompts['1']
    tokens = torch.ones(4, 1, requires_grad=True, dtype=torch.float64)
    pieces = torch.ones(4, 16, requires_grad=True, dtype=torch.float64)
    grad = gradients(vit(images()), vit)['prompts.1']
    original = prompts.detach().clone()
    masked = original * tokens * pieces.repeat_interleave(2, 1)
    (masked * grad).sum().backward()  # the chain rule at masks of 1
    expected = torch.cat([tokens.grad, pieces.grad], 1).abs()
    torch.testing.assert_close(tuner.score(original, grad), expected)
    # and it is what setting a mask changes, to first order
    step = 1e-6
    with torch.no_grad():
        prompts[2, 6:8] *= 1 + step
    out = vit(images())[0]
    changed = (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum()
    with torch.no_grad():
        prompts.copy_(original)
        before = vit(images())[0]
    before = (before * torch.linspace(-1, 1, out.numel()).view_as(out)).sum()
    slope = ((changed - before) / step).abs()
    torch.testing.assert_close(slope, expected[2, 4], rtol=1e-4, atol=1e-6)


def test_pruning_by_hand(file):
    """Half of 4 prompts and 30 % of 16 segments, 4 of them, go."""
    score = torch.arange(4 * 17).flip(0).view(4, 17) + 1.0
    score[:, 0] = torch.tensor([3.0, 1.0, 2.0, 4.0])
    config = select(
        E2VPT, file, build, lambda vit, t: dict.fromkeys(t.watched(vit), score)
    )
    vit = build(tuners=[config])
    expected = torch.ones(4, 32, dtype=torch.bool)
    expected[1:3] = False
    expected[:, 2 * 12 :] = False  # the last four have the lowest scores
    tuner = vit.tuners.E2VPT
    for i in range(3):
        assert torch.equal(tuner._buffers[f'mask{i}'], expected)
        x = vit.prompts[str(i)]
        assert torch.equal(tuner.prompts(i, x), x * expected)


def test_a_fraction_of_prompts_is_a_whole_number():
    keep = _keep(torch.rand(100, 17), tokens=0.29, pieces=0)
    assert (~keep).all(1).sum() == 29


@pytest.mark.parametrize('tokens, pieces', [(0.9, 0.9), (0.6, 0), (0, 0.3)])
def test_some_of_all_prompts_is_kept(tokens, pieces, file):
    config = dict(E2VPT, prune_tokens=tokens, prune_pieces=pieces)
    config = select(config, file, num_prompts=5)
    vit = build(tuners=[config], num_prompts=5)
    rows = max(1, 5 - int(5 * tokens + 1e-6))
    kept = 2 * max(4, 16 - int(16 * pieces + 1e-6))
    for i in range(3):
        mask = vit.tuners.E2VPT._buffers[f'mask{i}']
        assert sorted(mask.sum(1)) == [0] * (5 - rows) + [kept] * rows


@pytest.mark.parametrize('make', [build, build_timm])
@pytest.mark.parametrize('propagate', [False, True, 'sum'])
def test_pruned_values_have_no_effect(propagate, make, file):
    config = select(E2VPT, file, make)
    vit = make(tuners=[config], propagate=propagate, out_type='featmap')
    out = vit(images())
    for name, grad in gradients(out, vit).items():
        if name.startswith('prompts.'):
            mask = vit.tuners.E2VPT._buffers[f'mask{name[-1]}']
            assert not grad[~mask].any() and grad[mask].all()
            with torch.no_grad():
                vit.prompts[name[-1]][~mask] = 7
    torch.testing.assert_close(vit(images()), out, rtol=0, atol=0)
    vit.eval()
    with torch.no_grad():
        for _ in range(2):  # nothing stale is cached
            torch.testing.assert_close(vit(images()), out, rtol=0, atol=1e-12)
            vit.prompts['0'] += 1
            assert not torch.equal(vit(images())[0], out[0])
            vit.prompts['0'] -= 1


def test_a_selection_draws_the_same_initial_values(file):
    first = build(perturb=False, tuners=[E2VPT])
    again = build(perturb=False, tuners=[select(E2VPT, file)])
    for name, value in first.named_parameters():
        assert torch.equal(again.get_parameter(name), value), name


# --- files ----------------------------------------------------------------


@pytest.mark.parametrize('config', [SPT, E2VPT])
def test_a_checkpoint_contains_the_selection(config, file, tmp_path):
    name = config['type']
    vit = build(tuners=[select(config, file)])
    checkpoint = tmp_path / 'epoch.pth'
    state = {f'backbone.{k}': v for k, v in vit.state_dict().items()}
    torch.save(dict(state_dict=state), checkpoint)
    file.unlink()
    with pytest.raises(UsageError, match='missing; it should be a selection'):
        build(tuners=[dict(config, selection=str(file))])
    again = build(tuners=[dict(config, selection=str(checkpoint))])
    again.load_state_dict(vit.state_dict())
    assert torch.equal(again(images())[0], vit(images())[0])
    ours, theirs = again.tuners[name].buffers(), vit.tuners[name].buffers()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_equal_numbers_are_equal_settings(file):
    select(dict(SPT, alpha=10), file)
    build(tuners=[dict(SPT, alpha=10.0, selection=str(file))])


@pytest.mark.parametrize(
    'change, kwargs',
    [
        (dict(budget=800), {}),
        (dict(rank=3), {}),
        (dict(form='adapter'), {}),
        (dict(targets=('q',)), {}),
        ({}, dict(out_indices=[1])),  # another depth
    ],
)
def test_other_settings_are_refused(change, kwargs, file):
    config = dict(select(SPT, file), **change)
    with pytest.raises(UsageError, match='should be a selection with the set'):
        build(tuners=[config], **kwargs)
    with pytest.raises(UsageError, match='should be a selection'):
        build(tuners=[dict(E2VPT, selection=str(file))])


def test_a_selection_is_read_for_another_device(file):
    config = select(SPT, file)
    with torch.device('meta'):
        vit = build(tuners=[config], perturb=False)
    assert len(vit.tuners.SPT.values)


def test_other_weights_are_refused(file):
    vit = build(tuners=[select(SPT, file)])
    vit.load_state_dict(build(tuners=[SPT]).state_dict(), strict=False)
    copy.deepcopy(vit).train()
    with torch.no_grad():
        vit.layers[2].ffn.layers[1].weight[3, 4] += 1e-3
    vit.eval()  # a test loads the weights of its checkpoint
    with pytest.raises(
        UsageError, match='SPT trains with .*pth. is not; make one'
    ):
        vit.train()


def test_other_numbers_of_prompts_are_refused(file):
    config = select(E2VPT, file)
    build(tuners=[config]).train()
    for num_prompts in (1, 5, (4, 4, 0)):
        vit = build(tuners=[config], num_prompts=num_prompts)
        state = build(tuners=[E2VPT]).state_dict()
        same = {k: v for k, v in state.items() if 'prompts' not in k}
        vit.load_state_dict(same, strict=False)
        with pytest.raises(
            UsageError, match='E2VPT trains with .*pth. is not'
        ):
            vit.train()


def test_spt_without_selection_does_not_train():
    vit = build(tuners=[SPT])
    assert count(vit) == count(build())
    with pytest.raises(
        UsageError, match='selection=None is not; .*mmdavpt select CONFIG'
    ):
        vit.train()
    build(tuners=[E2VPT]).train()  # the first training


@pytest.mark.parametrize(
    'config, message',
    [
        (dict(SPT, form='x'), "should be 'lora' or 'adapter'"),
        (dict(SPT, budget=0), 'at least 1, but got'),
        (dict(SPT, alpha=0.5), 'at least 1, but got'),
        (dict(SPT, targets=['x']), '`targets` should list parts'),
        (dict(E2VPT, num_tokens=0), '`num_tokens` should be at least 1'),
        (dict(E2VPT, prune_pieces=1), 'from 0 to below 1'),
    ],
)
def test_wrong_options(config, message):
    with pytest.raises(ValueError, match=message):
        build(tuners=[config])


def test_gradients_of_zero_select_nothing(file):
    vit = build(tuners=[SPT])
    scores = {p: torch.zeros_like(p) for p in vit.tuners.SPT.watched(vit)}
    with pytest.raises(UsageError, match='finds no weight with a gradient'):
        vit.tuners.SPT.select(vit, scores)


def test_watched_weights_are_those_of_used_layers():
    vit = build(tuners=[SPT], out_indices=[1])
    watched = vit.tuners.SPT.watched(vit)
    assert len(watched) == 2 * 4  # q, k and v are one
    names = {id(p): name for name, p in vit.named_parameters()}
    assert all(names[id(p)].endswith('.weight') for p in watched)
    assert not any('layers.2' in names[id(p)] for p in watched)
    assert isinstance(watched[0], nn.Parameter)
