"""VPT-Deep as published: prompts are concatenated, run and discarded.

An independent, plain reference that calls the parent's layers whole.
"""

import torch


def concatenated_forward(vit, images, with_deltas=False):
    """Return the features of a prompted ViT, computed with plain code."""
    x, grid, *_ = vit.embed(images, {})
    extra, outs = vit.num_extra_tokens, []
    for i, layer in enumerate(vit.layers):
        count = vit.prompts.counts[i]
        if count:
            prompts = vit.prompts[str(i)].expand(x.shape[0], -1, -1)
            x = torch.cat([x[:, :extra], prompts, x[:, extra:]], dim=1)
        if with_deltas:
            original = layer.attn.qkv.bias
            shift = torch.cat(
                [
                    getattr(vit.bias_delta, part)[i]
                    if part in vit.bias_delta.parts
                    else torch.zeros_like(x[0, 0])
                    for part in 'qkv'
                ]
            )
            del layer.attn.qkv.bias
            layer.attn.qkv.bias = original + shift
            x = layer(x)
            del layer.attn.qkv.bias
            layer.attn.qkv.bias = original
        else:
            x = layer(x)
        x = torch.cat([x[:, :extra], x[:, extra + count :]], dim=1)
        if i == len(vit.layers) - 1 and vit.final_norm:
            x = vit.ln1(x)
        if i in vit.out_indices:
            outs.append(vit._format_output(x, grid))
    return tuple(outs)
