"""What guided layers hand out to the guidance loss (sections 3.2 and 3.3)."""

from dataclasses import dataclass
from typing import Dict, FrozenSet, NamedTuple, Optional, Tuple

from torch import Tensor, nn

from .attention import FusedProjection, attend

#: What a guided layer can hand out, all before the output projection.
TOKEN_NAMES = frozenset(
    [
        'prompt_raw',
        'prompt_input',
        'prompt_query',
        'cls_input',
        'cls_query',
        'patch_raw',
        'patch_input',
        'patch_query',
        'patch_key',
        'patch_output',
        'saliency',
    ]
)
#: Those that need the queries of all patches, and not of [CLS] alone.
OF_PATCH_QUERIES = frozenset(['patch_query', 'patch_output'])
#: What the prompts' queries attend to when the saliency is computed.
SALIENCY_KEYS = ('patches', 'all')


@dataclass(frozen=True)
class TokenRequest:
    """What guided layers are asked to hand out.

    Attributes:
        layers (Tuple[int, ...]): Indices of the guided layers.
        names (FrozenSet[str]): Out of ``TOKEN_NAMES``:

            - ``prompt_raw``, ``prompt_input``, ``prompt_query``: the prompts,
              LN1 of them, and its query projection, with shape (P, C).
            - ``cls_input``, ``cls_query``: the same of [CLS], (B, C).
            - ``patch_raw``, ``patch_input``, ``patch_query``, ``patch_key``:
              the same of the patches and their keys, (B, N, C).
            - ``patch_output``: attention output of the patches, heads
              concatenated, (B, N, C).
            - ``saliency``: attention output of the query of each sample's
              target prompt, heads concatenated, (B, C).
        targets (Tensor, optional): The prompt of each sample, int64, (B, );
            -1 for none. Needed for ``saliency``.
        saliency_keys (str): ``'patches'``: the prompts' queries see patch
            keys only, as the released code's ``mask: true``; ``'all'``: they
            see prompts, [CLS] and patches. Defaults to 'patches'.
    """

    layers: Tuple[int, ...]
    names: FrozenSet[str]
    targets: Optional[Tensor] = None
    saliency_keys: str = 'patches'


class AttentionStates(NamedTuple):
    """What a layer's attention computes on its way, of T tokens.

    Attributes:
        x (Tensor): What enters the layer, (B, T, C).
        normed (Tensor): LN1 of it, (B, T, C).
        query (Tensor): Queries, (B, T, C); or (B, 1, C), of [CLS] alone.
        keys (Tensor): Keys, those of a prefix of prompts first, (B, P+T, C).
        values (Tensor): Values in the same order, (B, P+T, C).
        attended (Tensor): Attention output of the queries, as many rows.
    """

    x: Tensor
    normed: Tensor
    query: Tensor
    keys: Tensor
    values: Tensor
    attended: Tensor


def take_tokens(
    layer: nn.Module,
    project: FusedProjection,
    states: AttentionStates,
    prompts: Tensor,
    patch_start: int,
    request: TokenRequest,
) -> Dict[str, Tensor]:
    """Return the tokens that are asked for, by name.

    Args:
        layer (nn.Module): An mmpretrain ``TransformerEncoderLayer``.
        project (FusedProjection): That of the layer.
        states (AttentionStates): Of the layer.
        prompts (Tensor): The layer's own, before dropout, (P, C).
        patch_start (int): The place of the first patch in the input.
        request (TokenRequest): What is asked for.
    """
    names = request.names
    prefix = states.keys.shape[1] - states.x.shape[1]
    patch_keys = states.keys[:, prefix + patch_start :]
    tokens = dict(
        cls_input=states.normed[:, 0],
        cls_query=states.query[:, 0],
        patch_raw=states.x[:, patch_start:],
        patch_input=states.normed[:, patch_start:],
        patch_query=states.query[:, patch_start:],
        patch_key=patch_keys,
        patch_output=states.attended[:, patch_start:],
        prompt_raw=prompts,
    )
    if names & {'prompt_input', 'prompt_query', 'saliency'}:
        tokens['prompt_input'] = layer.ln1(prompts)
    if names & {'prompt_query', 'saliency'}:
        tokens['prompt_query'] = project(tokens['prompt_input'], 'q')
    if 'saliency' in names:
        seen = (
            slice(None)
            if request.saliency_keys == 'all'
            else slice(prefix + patch_start, None)
        )
        # A sample without a target gets that of prompt 0, and no loss of it.
        own = tokens['prompt_query'][request.targets.clamp(min=0)]
        tokens['saliency'] = attend(
            layer.attn,
            own.unsqueeze(1),
            states.keys[:, seen],
            states.values[:, seen],
        ).squeeze(1)
    return {name: tokens[name] for name in names}
