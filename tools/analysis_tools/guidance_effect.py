"""Measure what guidance changes in a trained classifier.

    python tools/analysis_tools/guidance_effect.py CONFIG CHECKPOINT

prints how many test images are nearest to the prompt of their class and, per
layer, the gradients of head and guidance on the prompts and the top-1 without
the layer's prompts. ``--mapping`` takes the mapping of another checkpoint, to
measure weights that were trained without guidance.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmdavpt.cli import options  # noqa: E402


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this tool."""
    parser.add_argument(
        'config',
        type=options.existing_path,
        help='config of a guided classifier',
    )
    parser.add_argument(
        'checkpoint', type=options.existing_path, help='trained weights'
    )
    parser.add_argument(
        '--mapping', help='checkpoint to take the mapping from'
    )
    parser.add_argument(
        '--batches',
        type=int,
        default=10,
        help='batches of training and of test images, drawn at random (10)',
    )


if __name__ == '__main__':
    options.parse_arguments(add_arguments)  # answer before slow imports

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from mmdavpt.cli import common as cli  # noqa: E402
from mmdavpt.errors import first_few  # noqa: E402
from mmdavpt.models.pretrained.reading import read_torch  # noqa: E402
from mmdavpt.registry import MODELS  # noqa: E402


def load_model(
    cfg, checkpoint: str, mapping: str | None
) -> tuple[nn.Module, list]:
    """Build the guided model of a config and load trained weights.

    Args:
        cfg (Config): The config, with guidance.
        checkpoint (str): The weights.
        mapping (str, optional): A checkpoint to take the guidance state from.
            Defaults to None, ``checkpoint``.

    Returns:
        tuple[nn.Module, list]: The model, and the names that neither
        checkpoint has.
    """
    model = MODELS.build({**cfg.model, 'data_preprocessor': preprocessor(cfg)})
    weights = read_torch(checkpoint)['state_dict']
    if mapping is not None:
        other = read_torch(mapping)['state_dict'].items()
        weights.update({k: v for k, v in other if 'guidance.' in k})
    missing = model.load_state_dict(weights, strict=False).missing_keys
    return model, missing


def preprocessor(cfg) -> dict:
    """Return the data preprocessor's config as a runner completes it."""
    own = cfg.model.get('data_preprocessor')
    given = cfg.get('data_preprocessor', {}) if own is None else own
    return {'type': 'ClsDataPreprocessor', **given}


@contextmanager
def without_prompts(model: nn.Module, layer: int) -> Iterator[None]:
    """Run the model without one layer's prompts inside the context.

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


def batches(model: nn.Module, loader: dict, most: int) -> list:
    """Return up to ``most`` batches of shuffled images, preprocessed.

    Args:
        model (nn.Module): The model.
        loader (dict): Config of a data loader. Its sampler is replaced: the
            first images of a test set are of a few classes.
        most (int): The number of batches.
    """
    shuffled = {**loader, 'sampler': dict(type='DefaultSampler', shuffle=True)}
    drawn = islice(Runner.build_dataloader(shuffled, seed=0), most)
    return [model.data_preprocessor(batch, training=False) for batch in drawn]


@torch.no_grad()
def top1(model: nn.Module, data: Sequence[dict]) -> float:
    """Return the top-1 accuracy in percent."""
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
    """Return how often a sample is nearest to the prompt of its class.

    Args:
        model (nn.Module): The guided model.
        data (Sequence[dict]): Preprocessed batches.

    Returns:
        dict[str, float]: The share in percent for each term of the loss,
        over all guided layers.
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
    """Compare the gradients of head and guidance on each layer's prompts.

    Args:
        model (nn.Module): The guided model.
        data (Sequence[dict]): Preprocessed batches.

    Returns:
        list[dict[str, float]]: For each layer, the norms of both gradients
        and their cosine, averaged over the batches.
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
    """Return a gradient as a vector; zeros if it is None."""
    return (torch.zeros_like(like) if gradient is None else gradient).flatten()


def report(model: nn.Module, train: Sequence, test: Sequence) -> str:
    """Return all measurements as Markdown.

    Args:
        model (nn.Module): The guided model.
        train (Sequence[dict]): Training batches, for gradients.
        test (Sequence[dict]): Test batches, for all else.
    """
    whole = top1(model, test)
    chance = 100 / model.guidance.num_prompts
    lines = [f'top-1 {whole:.1f}', '']
    lines += [
        f'{name}: {share:.0f} % are nearest to the prompt of their class '
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
    layers = map(int, model.backbone.prompts)
    for layer, values in sorted(zip(layers, gradients, strict=True)):
        with without_prompts(model, layer):
            left = top1(model, test)
        lines.append(
            f'| {layer} | {values["head"]:.2g} | {values["guidance"]:.2g} '
            f'| {values["cosine"]:+.2f} | {left:.1f} ({left - whole:+.1f}) |'
        )
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Load a model and print the measurements."""
    args = options.parse_arguments(add_arguments, argv)
    cfg = cli.load_config(args.config)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model, missing = load_model(cfg, args.checkpoint, args.mapping)
    if missing:
        raise SystemExit(
            f'{args.checkpoint} lacks {first_few(missing)}; if it was '
            'trained without guidance, take the mapping of another checkpoint '
            'with --mapping'
        )
    train, test = (
        batches(model, loader, args.batches)
        for loader in (cfg.train_dataloader, cfg.test_dataloader)
    )
    print(report(model, train, test))


if __name__ == '__main__':
    main()
