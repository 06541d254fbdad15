"""The cache of projected prompts is used in evaluation and never stale."""

import copy
import io

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from mmdavpt.models.backbones import prompt_cache

from ..test_tuners.reference import Norm, Shift
from .test_davpt_vit import build, images


def evaluated(vit, x=None):
    with torch.no_grad():
        return vit(images() if x is None else x)[0]


@pytest.fixture
def projections(monkeypatch):
    """Count how often the prompts of a layer are projected for the cache."""
    calls = []

    def counted(*args):
        calls.append(args)
        return project(*args)

    project = prompt_cache.project_prompts
    monkeypatch.setattr(prompt_cache, 'project_prompts', counted)
    return calls


@pytest.mark.parametrize(
    'kwargs',
    [
        {},
        dict(num_prompts=(2, 0, 3)),
        dict(num_prompts=(0, 0, 3), out_type='featmap'),
        dict(bias=('k', 'v')),
        dict(tuners=[dict(type='Bias', parts=('v', 'fc1'))]),
        dict(tuners=[dict(type='LoRA', targets=('q', 'proj'))]),
        dict(tuners=[dict(type='AdaptFormer')]),
        dict(qkv_bias=False),
        dict(out_type='avg_featmap', pool_prompts=True),
    ],
)
def test_cached_result_equals_training_code(kwargs, projections):
    vit = build(**kwargs).eval()
    plain = vit(images())[0]  # with gradients nothing is cached
    assert not projections
    first, second = evaluated(vit), evaluated(vit)
    assert torch.equal(first, plain) and torch.equal(second, plain)
    assert len(projections) == len(vit.prompts)


def step(optimizer, **kwargs):
    def write(vit):
        trained = [p for p in vit.parameters() if p.requires_grad]
        vit(images())[0].square().sum().backward()
        optimizer(trained, lr=0.1, **kwargs).step()

    return write


def load(vit):
    vit.load_state_dict({k: v + 1 for k, v in vit.state_dict().items()})


def average(vit):
    other = copy.deepcopy(vit)
    other.prompts['1'].data += 1
    averaged = ExponentialMovingAverage(other, momentum=0.5)
    averaged.module = vit
    averaged.avg_parameters = dict(vit.named_parameters())
    averaged.steps.add_(1)
    averaged.update_parameters(other)


def there_and_back(vit):
    vit.half().double()


def replace(vit):
    vit.prompts['1'] = nn.Parameter(vit.prompts['1'].detach() + 1)


def merge_low_rank(vit):
    """Merge an adapter into values, as before a test."""
    up, down = torch.randn(32, 2), torch.randn(2, 32)
    vit.layers[1].attn.qkv.weight.data[64:] += (up @ down).double()


def move_weight(vit):
    """Replace a weight by a copy with one element changed."""
    weight = vit.layers[1].attn.qkv.weight
    other = weight.detach().clone()
    other[70, 9] += 1
    weight.data = other


WRITES = dict(
    load=load,
    average=average,
    there_and_back=there_and_back,
    replace=replace,
    sgd=step(torch.optim.SGD),
    adamw=step(torch.optim.AdamW),
    fused=step(torch.optim.AdamW, fused=True),
    data=lambda vit: vit.prompts['2'].data.add_(1),
    one_element=lambda vit: vit.prompts['0'].data[0, 0].add_(1),
    delta=lambda vit: vit.bias_delta.v.data.mul_(2),
    tuner=lambda vit: vit.tuners.Bias.v.data.mul_(2),
    norm=lambda vit: vit.layers[1].ln1.bias.data.add_(1),
    bias=lambda vit: vit.layers[1].attn.qkv.bias.data.add_(1),
    weight=lambda vit: vit.layers[1].attn.qkv.weight.data.mul_(2),
    row=lambda vit: vit.layers[1].attn.qkv.weight.detach()[-1].mul_(2),
    keys=lambda vit: vit.layers[1].attn.qkv.weight.data[32:64].mul_(2),
    values=lambda vit: vit.layers[2].attn.qkv.weight.data[64:].mul_(2),
    one_value=lambda vit: vit.layers[0].attn.qkv.weight.data[77].mul_(2),
    channel=lambda vit: vit.layers[1].attn.qkv.weight.data[:, 5].mul_(2),
    merged=merge_low_rank,
    moved=move_weight,
    new_weight=lambda vit: setattr(
        vit.layers[1].attn.qkv.weight,
        'data',
        2 * vit.layers[1].attn.qkv.weight.data,
    ),
)


@pytest.mark.parametrize('inference', [False, True])
@pytest.mark.parametrize('write', WRITES)
def test_no_write_leaves_a_stale_result(write, inference):
    """None of them calls train() or eval(), which drop the cache."""
    tuners = [dict(type='Bias', parts=('v',))]
    vit = build(bias=('k', 'v'), tuners=tuners, out_type='featmap').eval()
    with torch.inference_mode(inference):
        before = evaluated(vit)
    WRITES[write](vit)
    fresh = copy.deepcopy(vit)
    with torch.inference_mode(inference):
        after = evaluated(vit)
        assert torch.equal(after, evaluated(fresh))
        assert not torch.equal(after, before)


def test_modes_and_dtypes_drop_the_cache(projections):
    vit = build().eval()
    for change in (
        lambda: None,
        vit.eval,
        lambda: vit.train().eval(),
        lambda: vit.load_state_dict(vit.state_dict()),
        vit.double,
    ):
        projections.clear()
        change()
        evaluated(vit)
        assert len(projections) == 3


def test_dtypes_that_change_one_by_one():
    """As float64 the values of float32 are the same."""
    vit, x = build(torch.float32).eval(), images(dtype=torch.float32)
    evaluated(vit, x)
    for module in vit.children():
        if module is not vit.prompt_cache:
            module.double()
    for parameter in vit.parameters(recurse=False):
        parameter.data = parameter.data.double()
    after = evaluated(vit)
    assert torch.equal(after, evaluated(copy.deepcopy(vit)))


def test_results_of_inference_mode_serve_elsewhere():
    vit = build().eval()
    with torch.inference_mode():
        inference = evaluated(vit).clone()
    assert torch.equal(evaluated(vit), inference)
    out = vit(images())[0]
    out.sum().backward()
    assert torch.equal(out, inference)
    assert vit.prompts['0'].grad.abs().max() > 0


def test_autocast_has_its_own_results():
    vit = build(torch.float32).eval()
    x = images(dtype=torch.float32)
    plain = evaluated(vit, x)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = evaluated(vit, x)
        assert torch.equal(half, evaluated(copy.deepcopy(vit), x))
    assert not torch.equal(half, plain)
    assert torch.equal(evaluated(vit, x), plain)


def test_no_cache_where_it_could_be_stale(projections):
    x = images()
    for vit in (
        build().train(),
        build(trainable=['layers.*.attn.qkv.weight']).eval(),
        build(propagate=True).eval(),
        build(num_prompts=0).eval(),
        build(tuners=[dict(type='LoRA', targets=('v',))]).eval(),
        build(tuners=[dict(type=Norm)]).eval(),
        build(tuners=[dict(type=Shift)]).eval(),
    ):
        evaluated(vit, x)
        vit.unprompted_tokens(x)
    vit = build().eval()
    rows = torch.stack([vit.prompts['1'].detach() + i for i in range(2)])
    with torch.no_grad():
        many = torch.vmap(
            lambda row: torch.func.functional_call(
                vit, {'prompts.1': row}, (x,)
            )[0]
        )(rows)
    assert not projections
    for i in range(2):
        torch.testing.assert_close(many[i], evaluated(vit, x))
        vit.prompts['1'].data.add_(1)


def test_traces_see_no_results():
    """Neither fake tensors nor symbolic traces can compare values."""
    vit, x = build().eval(), images()
    expected = evaluated(vit)
    with torch.no_grad():
        graph = make_fx(lambda x: vit(x)[0])(x)
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            fake = vit(mode.from_tensor(x))[0]
    assert isinstance(fake, FakeTensor) and fake.shape == expected.shape
    torch.testing.assert_close(graph(x), expected)
    assert torch.equal(evaluated(vit), expected)


@pytest.mark.filterwarnings('ignore')
def test_traced_model_sees_new_prompts():
    vit, x = build().eval(), images()
    before = evaluated(vit)
    with torch.no_grad():
        traced = torch.jit.trace(vit, x)
        vit.prompts['1'].data.add_(1)
        torch.testing.assert_close(traced(x)[0], evaluated(vit))
        assert not torch.equal(traced(x)[0], before)


def test_parameters_without_versions_or_values(projections):
    with torch.inference_mode():
        vit = build().eval()
        assert torch.equal(evaluated(vit), evaluated(vit))
        expected = evaluated(vit)
    assert torch.equal(expected, evaluated(build().eval()))
    projections.clear()
    vit = build().eval().to('meta')
    assert evaluated(vit, images().to('meta')).shape == expected.shape
    assert not projections


def test_copies_and_files_hold_no_cache():
    vit = build().eval()
    state = set(vit.state_dict())
    evaluated(vit)
    assert vit.prompt_cache._kept is not None
    assert copy.deepcopy(vit).prompt_cache._kept is None
    file = io.BytesIO()
    torch.save(vit, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert loaded.prompt_cache._kept is None
    assert set(vit.state_dict()) == state
    assert torch.equal(evaluated(loaded), evaluated(vit))


def test_wrapped_for_distributed_training(tmp_path, projections):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    try:
        vit = build()
        wrapped = nn.parallel.DistributedDataParallel(vit)
        for _ in range(2):
            wrapped.train()
            wrapped(images())[0].square().sum().backward()
            torch.optim.SGD(vit.prompts.parameters(), lr=0.1).step()
            wrapped.eval()
            result = evaluated(wrapped)
            assert torch.equal(result, evaluated(copy.deepcopy(vit)))
            assert torch.equal(result, evaluated(wrapped))
    finally:
        torch.distributed.destroy_process_group()
    assert len(projections) == 4 * 3
