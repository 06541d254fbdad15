"""Tokens that guided layers return to the loss (sections 3.2 and 3.3)."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mmdavpt.models.tuners import LayerTuners

from .tuned_layer import UNTUNED, TunedLayer

#: Tokens that a guided layer can return, all before the output projection.
TOKEN_NAMES = frozenset(
    'prompt_raw prompt_input prompt_query prompt_key prompt_value '
    'cls_input cls_query cls_output cls_attention saliency '
    'patch_raw patch_input patch_query patch_key patch_output'.split()
)
#: What a layer's attention makes of LN1 of a token.
PROJECTIONS = ('query', 'key', 'value')
#: Tokens that need the queries of all patches, not of [CLS] alone.
OF_PATCH_QUERIES = frozenset(['patch_query', 'patch_output', 'query'])


@dataclass(frozen=True)
class TokenRequest:
    """The tokens that guided layers should return.

    Attributes:
        layers (tuple[int, ...]): Indices of the guided layers.
        names (frozenset[str]): Out of ``TOKEN_NAMES``:

            - ``prompt_raw``, ``prompt_input``, ``prompt_query``,
              ``prompt_key``, ``prompt_value``: the prompts, LN1 of them, and
              its query, key and value projections, with shape (P, C).
            - ``cls_input``, ``cls_query``: the same for [CLS], (B, C).
            - ``cls_output``: attention output of [CLS], heads concatenated,
              (B, C).
            - ``cls_attention``: logarithm of the attention weights of [CLS]
              on the prompts, averaged over the heads, (B, P).
            - ``patch_raw``, ``patch_input``, ``patch_query``, ``patch_key``:
              the same for the patches, and their keys, (B, N, C).
            - ``patch_output``: attention output of the patches, heads
              concatenated, (B, N, C).
            - ``saliency``: attention output of the query of each sample's
              target prompt over the patches, as with the released code's
              ``mask: true``; heads concatenated, (B, C).

            For figures, also ``query`` and ``key``, those of the layer's
            whole attention: see :class:`AttentionStates`.
        targets (Tensor, optional): The prompt of each sample, int64, (B, );
            -1 for none. Needed for ``saliency``.
    """

    layers: tuple[int, ...]
    names: frozenset[str]
    targets: Tensor | None = None

    @property
    def needs_all_queries(self) -> bool:
        """bool: Whether the queries of all patches are needed."""
        return bool(self.names & OF_PATCH_QUERIES)


class LayerTask(NamedTuple):
    """Options of one layer's pass.

    Attributes:
        prompts (Tensor | None): Prompts that the layer sees as a prefix, with
            shape (P, C). None if it has none.
        projected (Tensor | None): Result of :func:`.project_prompts` for these
            prompts, if it is cached.
        tuners (LayerTuners): Tuners that act in the layer.
        patch_start (int): Index of the first patch in the input, after
            [CLS], registers, and prompts that are among the tokens.
        cls_only (bool): Whether to return [CLS] alone, which leaves out the
            queries, output projection and MLP of the patches.
        request (TokenRequest | None): Guided tokens to return.
        own_prompts (Tensor | None): Prompts of the layer, (P, C), wherever
            they are. Needed with a ``request``.
        rope (Tensor | None): Rotary embedding of the patches, if the layer
            has it.
        has_cls (bool): Whether the first token is [CLS].
        rejoin (bool): Whether backward may join the keys and values of
            prompts and tokens again, instead of keeping the result. Not with
            a ``request``, whose tokens keep it anyway, in a checkpointed
            layer, which keeps nothing, or in a compiled one, whose compiler
            decides.
    """

    prompts: Tensor | None = None
    projected: Tensor | None = None
    tuners: LayerTuners = UNTUNED
    patch_start: int = 1
    cls_only: bool = False
    request: TokenRequest | None = None
    own_prompts: Tensor | None = None
    rope: Tensor | None = None
    has_cls: bool = True
    rejoin: bool = False


class AttentionStates(NamedTuple):
    """Intermediate results of a layer's attention over T tokens.

    Attributes:
        x (Tensor): Input of the layer, (B, T, C).
        normed (Tensor): LN1 of it, (B, T, C).
        query (Tensor): Queries, (B, T, C); or (B, 1, C) for [CLS] alone.
        keys (Tensor): Keys, those of the prefix first, (B, P+T, C).
        values (Tensor): Values in the same order, (B, P+T, C).
        attended (Tensor): Attention output of each query.
    """

    x: Tensor
    normed: Tensor
    query: Tensor
    keys: Tensor
    values: Tensor
    attended: Tensor


def attention_scores(query: Tensor, keys: Tensor, num_heads: int) -> Tensor:
    r"""Return :math:`q k^T / \sqrt{d}` of each head, before the softmax.

    Args:
        query (Tensor): One query per image, (B, C).
        keys (Tensor): With shape (B, K, C).
        num_heads (int): The number of heads.

    Returns:
        Tensor: With shape (B, heads, K).
    """
    query, keys = (x.unflatten(-1, (num_heads, -1)) for x in (query, keys))
    scale = query.shape[-1] ** -0.5
    return torch.einsum('bhd,bkhd->bhk', query, keys) * scale


def log_attention(query: Tensor, keys: Tensor, num_heads: int) -> Tensor:
    """Return the logarithm of the attention weights, a mean over heads.

    Args:
        query (Tensor): One query per image, (B, C).
        keys (Tensor): With shape (B, K, C).
        num_heads (int): The number of heads.

    Returns:
        Tensor: With shape (B, K), in float32 or better.
    """
    scores = attention_scores(query, keys, num_heads)
    dtype = torch.promote_types(scores.dtype, torch.float32)
    logs = scores.log_softmax(-1, dtype=dtype)
    return logs.logsumexp(1) - math.log(num_heads)


def _mean_as_cls(layer: TunedLayer, tokens: dict) -> dict[str, Tensor]:
    mean = tokens['patch_input'].mean(dim=1)
    output = tokens['patch_output'].mean(dim=1)
    query = layer.project(mean, 'q')
    return dict(cls_input=mean, cls_query=query, cls_output=output)


def take_tokens(
    layer: TunedLayer, states: AttentionStates, task: LayerTask
) -> dict[str, Tensor]:
    """Return the requested tokens by name.

    Without [CLS], the mean of the patches takes its place, and its query is
    not rotated.

    Args:
        layer (TunedLayer): The guided layer.
        states (AttentionStates): Intermediate results of its attention.
        task (LayerTask): Its options, with a ``request``.
    """
    names, prompts = task.request.names, task.own_prompts
    patch_start = task.patch_start
    prefix = states.keys.shape[1] - states.x.shape[1]
    patch_keys = states.keys[:, prefix + patch_start :]
    tokens = dict(
        query=states.query,
        key=states.keys,
        cls_input=states.normed[:, 0],
        cls_query=states.query[:, 0],
        cls_output=states.attended[:, 0],
        patch_raw=states.x[:, patch_start:],
        patch_input=states.normed[:, patch_start:],
        patch_query=states.query[:, patch_start:],
        patch_key=patch_keys,
        patch_output=states.attended[:, patch_start:],
        prompt_raw=prompts,
    )
    if not task.has_cls:
        tokens.update(_mean_as_cls(layer, tokens))
    needed = names | ({'prompt_query'} if 'saliency' in names else set())
    if needed & {f'prompt_{part}' for part in ('input', *PROJECTIONS)}:
        tokens['prompt_input'] = layer.norm1(prompts)
    for part in PROJECTIONS:
        if f'prompt_{part}' in needed:
            projected = layer.project(tokens['prompt_input'], part[0])
            tokens[f'prompt_{part}'] = projected
    if 'cls_attention' in names:
        heads, query = layer.view.num_heads, tokens['cls_query']
        logs = log_attention(query, states.keys, heads)
        # The prompts are the last keys before the patches or, as a prefix,
        # before [CLS].
        end = prefix if task.prompts is not None else prefix + patch_start
        tokens['cls_attention'] = logs[:, end - len(prompts) : end]
    if 'saliency' in names:
        patch_values = states.values[:, prefix + patch_start :]
        # A sample without a target uses prompt 0; the loss ignores it.
        own = tokens['prompt_query'][task.request.targets.clamp(min=0)]
        tokens['saliency'] = layer.view.attend(
            own.unsqueeze(1), patch_keys, patch_values
        ).squeeze(1)
    return {name: tokens[name] for name in names}
