"""One transformer layer that sees prompts as a key/value prefix.

VPT-Deep (eq. 1) throws away what a layer makes at the prompts' places, so
prompts act through their keys and values alone. The functions here compute
just that, over the parent layer's own modules: the projection of the prompts
runs once per batch, and queries, output projection and FFN run for [CLS] and
the patches only. The result equals the concatenated form to rounding.
"""

from dataclasses import dataclass
from typing import Dict, FrozenSet, Mapping, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .bias_delta import shifted_qkv_bias

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


def _split_heads(x: Tensor, num_heads: int) -> Tensor:
    # (B, N, C) -> (B, heads, N, C / heads)
    return x.unflatten(-1, (num_heads, -1)).transpose(-3, -2)


def _merge_heads(x: Tensor) -> Tensor:
    # (B, heads, N, C / heads) -> (B, N, C)
    return x.transpose(-3, -2).flatten(-2)


def _batched(x: Tensor, batch_size: int) -> Tensor:
    # (P, C) -> (B, P, C) without a copy
    return x if x.dim() == 3 else x.expand(batch_size, -1, -1)


def prompted_layer(
    layer: nn.Module,
    x: Tensor,
    prompts: Optional[Tensor],
    bias_delta: Mapping[str, Tensor],
    patch_start: int = 1,
    cls_only: bool = False,
    request: Optional[TokenRequest] = None,
    raw_prompts: Optional[Tensor] = None,
) -> Tuple[Tensor, Dict[str, Tensor]]:
    """Run one layer with its prompts as a key/value prefix.

    Args:
        layer (nn.Module): An mmpretrain ``TransformerEncoderLayer``.
        x (Tensor): [CLS] and patches, with shape (B, 1+N, C).
        prompts (Tensor, optional): What the layer sees, with shape (P, C), or
            (B, P, C) under prompt dropout. None if the layer has none.
        bias_delta (Mapping[str, Tensor]): See :func:`shifted_qkv_bias`.
        patch_start (int): The place of the first patch in ``x``: 1 with
            [CLS], else 0; more if prompts stand between. Defaults to 1.
        cls_only (bool): Whether only [CLS] goes on, so that the queries,
            output projection and FFN of the patches are left out.
            Defaults to False.
        request (TokenRequest, optional): What to hand out.
        raw_prompts (Tensor, optional): The prompts before dropout, (P, C),
            which guidance acts on. Needed with a ``request``.

    Returns:
        Tuple[Tensor, Dict[str, Tensor]]: The layer's output, with shape
        (B, 1+N, C) or (B, 1, C) with ``cls_only``; and the tokens by name.
    """
    attn = layer.attn
    batch_size, channels = x.shape[0], attn.embed_dims
    heads = attn.num_heads
    weight = attn.qkv.weight
    bias = shifted_qkv_bias(attn.qkv, bias_delta)
    key_value_bias = None if bias is None else bias[channels:]
    names = frozenset() if request is None else request.names

    normed = layer.ln1(x)
    if cls_only and not names & {'patch_query', 'patch_output'}:
        query = F.linear(
            normed[:, :1],
            weight[:channels],
            None if bias is None else bias[:channels],
        )
        key, value = F.linear(normed, weight[channels:], key_value_bias).chunk(
            2, dim=-1
        )
    else:
        query, key, value = F.linear(normed, weight, bias).chunk(3, dim=-1)

    all_keys, all_values = key, value
    if prompts is not None:
        prompt_keys, prompt_values = F.linear(
            layer.ln1(prompts), weight[channels:], key_value_bias
        ).chunk(2, dim=-1)
        all_keys = torch.cat((_batched(prompt_keys, batch_size), key), dim=1)
        all_values = torch.cat(
            (_batched(prompt_values, batch_size), value), dim=1
        )

    def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        out = attn.scaled_dot_product_attention(
            _split_heads(queries, heads),
            _split_heads(keys, heads),
            _split_heads(values, heads),
            dropout_p=attn.attn_drop if attn.training else 0.0,
        )
        return _merge_heads(out)

    attended = attend(query, all_keys, all_values)

    tokens: Dict[str, Tensor] = {}
    if names:
        available = dict(
            cls_input=lambda: normed[:, 0],
            cls_query=lambda: query[:, 0],
            patch_raw=lambda: x[:, patch_start:],
            patch_input=lambda: normed[:, patch_start:],
            patch_query=lambda: query[:, patch_start:],
            patch_key=lambda: key[:, patch_start:],
            patch_output=lambda: attended[:, patch_start:],
        )
        tokens = {
            name: take() for name, take in available.items() if name in names
        }
        tokens.update(_prompt_tokens(layer, raw_prompts, weight, bias, names))
        if 'saliency' in names:
            chosen = tokens['prompt_query'][request.targets.clamp(min=0)]
            seen = (
                (all_keys, all_values)
                if request.saliency_keys == 'all'
                else (key[:, patch_start:], value[:, patch_start:])
            )
            tokens['saliency'] = attend(chosen.unsqueeze(1), *seen).squeeze(1)
        tokens = {name: tokens[name] for name in names}

    if cls_only:
        x, attended = x[:, :1], attended[:, :1]
    out = attn.proj_drop(attn.proj(attended))
    x = x + attn.out_drop(attn.gamma1(out))
    return layer.ffn(layer.ln2(x), identity=x), tokens


def _prompt_tokens(
    layer: nn.Module,
    prompts: Tensor,
    weight: Tensor,
    bias: Optional[Tensor],
    names: FrozenSet[str],
) -> Dict[str, Tensor]:
    """Return the prompts' own tokens, each with shape (P, C)."""
    tokens = {'prompt_raw': prompts}
    if names & {'prompt_input', 'prompt_query', 'saliency'}:
        tokens['prompt_input'] = layer.ln1(prompts)
    if names & {'prompt_query', 'saliency'}:
        channels = prompts.shape[-1]
        tokens['prompt_query'] = F.linear(
            tokens['prompt_input'],
            weight[:channels],
            None if bias is None else bias[:channels],
        )
    return tokens
