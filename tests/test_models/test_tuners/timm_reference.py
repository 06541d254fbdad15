"""The plain pass of :mod:`.reference` over layers of timm."""

import torch
from timm.layers import GluMlp, SwiGLU, apply_rot_embed_cat
from timm.models.eva import Eva

from mmdavpt.models.tuners import Tuner

from .reference import PlainPass


class TimmPass(PlainPass):
    def raw_linear(self, i, part, x):
        attn, mlp = self.vit.layers[i].attn, self.vit.layers[i].mlp
        if part == 'fc1' and isinstance(mlp, SwiGLU):
            return torch.cat([mlp.fc1_g(x), mlp.fc1_x(x)], -1)
        if part in ('fc1', 'fc2', 'proj'):
            return getattr(attn if part == 'proj' else mlp, part)(x)
        if attn.qkv is None:
            return getattr(attn, f'{part}_proj')(x)
        y = attn.qkv(x).chunk(3, -1)['qkv'.index(part)]
        bias = getattr(attn, f'{part}_bias', None)
        return y if bias is None else y + bias

    def position(self, i, part, x, count):
        """Normalize; rotate the patches, after [CLS], registers, prompts."""
        attn, rope = self.vit.layers[i].attn, self.rope
        x = x.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2)
        x = (attn.q_norm if part == 'q' else attn.k_norm)(x)
        if rope is not None and x.shape[2] > 1:
            rope = rope[i] if self.vit.vit.rope_mixed else rope
            first = self.vit.num_extra_tokens + count
            half = getattr(attn, 'rotate_half', False)
            rotated = apply_rot_embed_cat(x[:, :, first:], rope, half=half)
            x = torch.cat([x[:, :, :first], rotated], 2)
        return x.transpose(1, 2).flatten(2)

    def timm_layer(self, i, x, count):
        block = self.vit.layers[i]

        def scaled(n, y):
            scale = getattr(block, f'ls{n}', None)
            gamma = getattr(block, f'gamma_{n}', None)
            y = y if scale is None else scale(y)
            return y if gamma is None else gamma * y

        normed = self.tuned('norm', i, 'norm1', block.norm1(x))
        query, key, value = (self.linear(i, p, normed) for p in 'qkv')
        query = self.position(i, 'q', query, count)
        key = self.position(i, 'k', key, count)
        for tuner in self.vit.all_tuners():
            if type(tuner).prefix is not Tuner.prefix:
                if (pair := tuner.prefix(i)) is not None:
                    pair = [t.expand(len(x), -1, -1) for t in pair]
                    key = torch.cat([key, pair[0]], 1)
                    value = torch.cat([value, pair[1]], 1)
        attended = self.attend(query, key, value)
        states = x, normed, query, key, value, attended
        out = scaled(1, self.linear(i, 'proj', block.attn.norm(attended)))
        x = x + self.tuned('attention', i, x, out)
        hidden = self.tuned('norm', i, 'norm2', block.norm2(x))
        hidden, mlp = self.linear(i, 'fc1', hidden), block.mlp
        if isinstance(mlp, (GluMlp, SwiGLU)):
            one, other = hidden.chunk(2, -1)
            if getattr(mlp, 'gate_last', False):
                one, other = other, one
            hidden = mlp.act(one) * other
        else:
            hidden = mlp.act(hidden)
        out = scaled(2, self.linear(i, 'fc2', mlp.norm(hidden)))
        x = x + self.tuned('mlp', i, x, out)
        return self.tuned('block', i, x), states

    def __call__(self, images, targets):
        """Return the features, and the tokens of layers with prompts."""
        vit, model = self.vit, self.vit.vit
        x = model.patch_embed(images)
        grid = x.shape[1:3]
        x = self.tuned('embed', x.flatten(1, 2)).unflatten(1, grid)
        x = model._pos_embed(x)
        x, self.rope = x if isinstance(model, Eva) else (x, None)
        x, first, tokens = model.norm_pre(x), vit.num_extra_tokens, {}
        for i in range(len(vit.layers)):
            prompts = self.tuned('prompts', i, vit.prompts[str(i)])
            prompts = prompts.expand(len(x), -1, -1)
            count = prompts.shape[1]
            x = torch.cat([x[:, :first], prompts, x[:, first:]], 1)
            out, states = self.timm_layer(i, x, count)
            tokens[i] = self.tokens(i, states, count, targets)
            x = torch.cat([out[:, :first], out[:, first + count :]], 1)
        if vit.final_norm:  # one that is not an identity
            x = self.tuned('norm', i, 'final', model.norm(x))
        return [vit.format_output(x, grid)], tokens

    def tokens(self, i, states, count, targets):
        """Return the guided tokens of a layer with ``count`` prompts."""
        x, normed, query, key, value, attended = states
        first, last = self.vit.num_extra_tokens, x.shape[1]
        prompts = slice(first, first + count)
        patches = slice(first + count, last)
        own = query[range(len(x)), first + targets].unsqueeze(1)
        saliency = self.attend(own, key[:, patches], value[:, patches])
        if self.vit.has_cls:
            cls_input, cls_query = normed[:, 0], query[:, 0]
            cls_output = attended[:, 0]
        else:
            cls_input = normed[:, patches].mean(1)
            # The mean as if it were a prompt: normalized, not rotated.
            alone = self.linear(i, 'q', cls_input.unsqueeze(1))
            cls_query = self.position(i, 'q', alone, 1)[:, 0]
            cls_output = attended[:, patches].mean(1)
        return dict(
            prompt_raw=x[0, prompts],
            prompt_input=normed[0, prompts],
            prompt_query=query[0, prompts],
            prompt_key=key[0, prompts],
            prompt_value=value[0, prompts],
            cls_input=cls_input,
            cls_query=cls_query,
            cls_output=cls_output,
            cls_attention=self.log_attention(cls_query, key, prompts),
            patch_raw=x[:, patches],
            patch_input=normed[:, patches],
            patch_query=query[:, patches],
            patch_key=key[:, patches],
            patch_output=attended[:, patches],
            saliency=saliency.squeeze(1),
        )
