"""Ask of a trained classifier whether guidance took hold, and what it did.

``python tools/analysis_tools/guidance_effect.py CONFIG CHECKPOINT``: how many
test images lie nearest to their class's prompt; per layer, the gradients that
head and guidance give the prompts, and what the prompts are worth.
``--mapping`` takes the mapping of another checkpoint, so that weights which
trained without guidance can be asked the same.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor, nn

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmdavpt.cli import common as cli  # noqa: E402
from mmdavpt.models.pretrained.reading import read_torch  # noqa: E402
from mmdavpt.registry import MODELS  # noqa: E402


def load_model(
    cfg, checkpoint: str, mapping: str | None
) -> tuple[nn.Module, list]:
    """Build the guided model of a config with trained weights.

    Args:
        cfg (Config): The config, with guidance.
        checkpoint (str): The weights.
        mapping (str, optional): Checkpoint whose guidance state counts;
            None for that of ``checkpoint``.

    Returns:
        Tuple[nn.Module, list]: The model, and the names that neither
        checkpoint gives.
    """
    model = MODELS.build({**cfg.model, 'data_preprocessor': preprocessor(cfg)})
    weights = read_torch(checkpoint)['state_dict']
    if mapping is not None:
        of_guidance = read_torch(mapping)['state_dict']
        weights = {
            **weights,
            **{k: v for k, v in of_guidance.items() if 'guidance.' in k},
        }
    missing = model.load_state_dict(weights, strict=False).missing_keys
    return model, missing


def preprocessor(cfg) -> dict:
    """Return the data preprocessor's config, as the runner would fill it."""
    return {
        'type': 'ClsDataPreprocessor',
        **cfg.get('data_preprocessor', {}),
        **cfg.model.get('data_preprocessor', {}),
    }


@contextmanager
def without_prompts(model: nn.Module, layer: int) -> Iterator[None]:
    """Leave one layer's prompts out inside.

    Args:
        model (nn.Module): The model.
        layer (int): The layer's index.
    """
    prompts = model.backbone.prompts
    counts = prompts.counts
    prompts.counts = tuple(
        0 if i == layer else count for i, count in enumerate(counts)
    )
    try:
        yield
    finally:
        prompts.counts = counts


def batches(model: nn.Module, loader, most: int) -> list:
    """Return up to ``most`` preprocessed batches of a loader."""
    return [
        model.data_preprocessor(batch, training=False)
        for batch, _ in zip(loader, range(most), strict=False)
    ]


@torch.no_grad()
def top1(model: nn.Module, data: Sequence[dict]) -> float:
    """Return the share of images whose class is predicted, in percent."""
    model.eval()
    hits = total = 0
    for batch in data:
        labels = model.guidance_labels(batch['data_samples'])
        scores = model.head(model.extract_feat(batch['inputs']))
        hits += (scores.argmax(dim=1) == labels).sum().item()
        total += len(labels)
    return 100 * hits / total


@torch.no_grad()
def nearest_shares(model: nn.Module, data: Sequence[dict]) -> dict[str, float]:
    """Return how often a sample lies nearest to its class's prompt.

    Args:
        model (nn.Module): The guided model.
        data (Sequence[dict]): Preprocessed batches.

    Returns:
        Dict[str, float]: Per term of the loss, the share in percent, over
        all guided layers.
    """
    model.eval()
    guidance, loss = model.guidance, model.guidance.loss
    hits = torch.zeros(len(loss.terms))
    total = 0
    for batch in data:
        labels = model.guidance_labels(batch['data_samples'])
        tokens = model.backbone.forward_with_tokens(
            batch['inputs'], guidance.request(labels)
        )[1]
        prompts = torch.stack(loss.prompts(tokens.guided))  # (G, P, C)
        near = torch.einsum(
            'btgc,gpc->btgp',
            F.normalize(loss.samples(tokens.guided), dim=-1),
            F.normalize(prompts, dim=-1),
        ).argmax(dim=-1)
        targets = guidance.targets(labels)[:, None, None]
        hits += (near == targets).float().mean(dim=2).sum(dim=0)
        total += len(labels)
    shares = (100 * hits / total).tolist()
    return dict(zip(loss.terms, shares, strict=True))


def prompt_gradients(
    model: nn.Module, data: Sequence[dict]
) -> list[dict[str, float]]:
    """Return what head and guidance ask of each layer's prompts.

    Args:
        model (nn.Module): The guided model.
        data (Sequence[dict]): Preprocessed batches.

    Returns:
        List[Dict[str, float]]: Per layer the norms of the gradients of head
        and guidance, and the cosine of the two, means over the batches.
    """
    model.train()
    layers = list(model.backbone.prompts)
    found = [dict(head=0.0, guidance=0.0, cosine=0.0) for _ in layers]
    prompts = [model.backbone.prompts[layer] for layer in layers]
    for batch in data:
        losses = model.loss(batch['inputs'], batch['data_samples'])
        guided = sum(v for k, v in losses.items() if 'guidance' in k)
        of_head, of_guidance = (
            torch.autograd.grad(
                term, prompts, retain_graph=True, allow_unused=True
            )
            for term in (losses['loss_head'], guided)
        )
        for values, *pair in zip(found, of_head, of_guidance, strict=True):
            head, guidance = (zero_if_none(g, prompts[0]) for g in pair)
            values['head'] += head.norm().item() / len(data)
            values['guidance'] += guidance.norm().item() / len(data)
            cosine = F.cosine_similarity(head, guidance, dim=0).item()
            values['cosine'] += cosine / len(data)
    return found


def zero_if_none(gradient: Tensor | None, like: Tensor) -> Tensor:
    """Return a gradient as a vector, zero if nothing depends on it."""
    return (torch.zeros_like(like) if gradient is None else gradient).flatten()


def report(model: nn.Module, train: Sequence, test: Sequence) -> str:
    """Return what was found as Markdown.

    Args:
        model (nn.Module): The guided model.
        train (Sequence[dict]): Training batches, for gradients.
        test (Sequence[dict]): Test batches, for everything else.
    """
    whole = top1(model, test)
    chance = 100 / model.guidance.num_prompts
    lines = [f'top-1 {whole:.1f}', '']
    lines += [
        f'{name}: {share:.0f} % lie nearest to the prompt of their class '
        f'(chance {chance:.0f} %)'
        for name, share in nearest_shares(model, test).items()
    ]
    lines += [
        '',
        '| layer | gradient of the head | of guidance | cosine '
        '| top-1 without its prompts |',
        '|---|---|---|---|---|',
    ]
    gradients = prompt_gradients(model, train)
    for layer, values in zip(model.backbone.prompts, gradients, strict=True):
        with without_prompts(model, int(layer)):
            left = top1(model, test)
        lines.append(
            f'| {layer} | {values["head"]:.2g} | {values["guidance"]:.2g} '
            f'| {values["cosine"]:+.2f} | {left:.1f} ({left - whole:+.1f}) |'
        )
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Load a model, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='a config of a guided classifier')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('--mapping', help='checkpoint with another mapping')
    parser.add_argument(
        '--batches', type=int, default=10, help='of training and of test'
    )
    args = parser.parse_args(argv)
    cfg = cli.load_config(args.config)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model, missing = load_model(cfg, args.checkpoint, args.mapping)
    if missing:
        raise SystemExit(
            f'{args.checkpoint} does not give {missing[:5]}; if it trained '
            'without guidance, name a checkpoint that has a mapping by '
            '--mapping'
        )
    train, test = (
        batches(model, Runner.build_dataloader(loader, seed=0), args.batches)
        for loader in (cfg.train_dataloader, cfg.test_dataloader)
    )
    print(report(model, train, test))


if __name__ == '__main__':
    main()
