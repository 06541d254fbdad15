"""A plain pass of a prompted ViT with tuners: all tokens in one sequence."""

import torch
from mmpretrain.models.utils import SwiGLUFFN, resize_pos_embed
from torch import nn
from torch.nn.functional import gelu, silu

from mmdavpt.models.tuners import PARTS, Tuner


class Embed(Tuner):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.scale = nn.Parameter(torch.zeros(sizes.embed_dims))

    def embed(self, x):
        assert x.dim() == 3
        return x * (1 + self.scale)


class Norm(Tuner):
    def __init__(self, sizes):
        super().__init__(sizes)
        shape = sizes.num_layers, sizes.embed_dims
        self.norm1 = nn.Parameter(torch.zeros(shape))
        self.norm2 = nn.Parameter(torch.zeros(shape))
        if sizes.final_norm:
            self.final = nn.Parameter(torch.zeros(shape[1]))

    def norm(self, layer, which, x):
        if which == 'final':
            return x + self.final
        return x * (1 + getattr(self, which)[layer])


class Shift(Tuner):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.rows = nn.ParameterDict(
            {
                p: torch.zeros(sizes.num_layers, sizes.parts[p][1])
                for p in PARTS
            }
        )

    def bias(self, layer, part):
        return None if layer == 1 and part == 'v' else self.rows[part][layer]


class Project(Shift):
    bias = Tuner.bias

    def project(self, layer, part, x, y):
        scale = 1 + self.rows[part][layer]
        return y * scale + 0.1 * x.mean(-1, keepdim=True)


class Prefix(Tuner):
    def __init__(self, sizes):
        super().__init__(sizes)
        shape = sizes.num_layers, 2, sizes.embed_dims
        self.keys = nn.Parameter(torch.zeros(shape))
        self.values = nn.Parameter(torch.zeros(shape))

    def prefix(self, layer):
        return None if layer == 1 else (self.keys[layer], self.values[layer])


class Prompts(Tuner):
    def __init__(self, sizes):
        super().__init__(sizes)
        shape = sizes.num_layers, sizes.embed_dims
        self.scale = nn.Parameter(torch.zeros(shape))

    def prompts(self, layer, x):
        assert x.dim() == 2
        return x * (1 + self.scale[layer])


class Branch(Tuner):
    """Parallel and sequential: of the input and of the output."""

    def __init__(self, sizes):
        super().__init__(sizes)
        shape = sizes.num_layers, sizes.embed_dims
        self.parallel = nn.Parameter(torch.zeros(shape))
        self.sequential = nn.Parameter(torch.zeros(shape))

    def branch(self, layer, x, out):
        out = out + torch.tanh(out * self.sequential[layer])
        return out + x * self.parallel[layer]


class Attention(Branch):
    attention = Branch.branch


class MLP(Branch):
    mlp = Branch.branch


class Block(Tuner):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.scale = nn.Parameter(
            torch.zeros(sizes.num_layers, sizes.embed_dims)
        )

    def block(self, layer, x):
        return x + torch.tanh(x * self.scale[layer])


#: A tuner for each point.
TUNERS = [
    Embed,
    Norm,
    Shift,
    Project,
    Prefix,
    Attention,
    MLP,
    Block,
    Prompts,
]


class PlainPass:
    """Run a ViT whose MLPs are of GELU or SwiGLU, step by step."""

    def __init__(self, vit):
        self.vit = vit

    def tuned(self, point, *args):
        *given, value = args
        for tuner in self.vit.all_tuners():
            if getattr(type(tuner), point) is not getattr(Tuner, point):
                value = getattr(tuner, point)(*given, value)
        return value

    def raw_linear(self, i, part, x):
        layer, dims = self.vit.layers[i], self.vit.embed_dims
        swiglu = isinstance(layer.ffn, SwiGLUFFN)
        module = dict(
            proj=layer.attn.proj,
            fc1=layer.ffn.w12 if swiglu else layer.ffn.layers[0][0],
            fc2=layer.ffn.w3 if swiglu else layer.ffn.layers[1],
        ).get(part, layer.attn.qkv)
        rows = slice(None)
        if part in 'qkv':
            rows = slice('qkv'.index(part) * dims, None)
            rows = slice(rows.start, rows.start + dims)
        return x @ module.weight[rows].T + module.bias[rows]

    def linear(self, i, part, x):
        y = self.raw_linear(i, part, x)
        for tuner in self.vit.all_tuners():
            if type(tuner).bias is not Tuner.bias and part in tuner.parts:
                shift = tuner.bias(i, part)
                y = y if shift is None else y + shift
        for tuner in self.vit.all_tuners():
            if type(tuner).project is not Tuner.project:
                if part in tuner.parts:
                    y = tuner.project(i, part, x, y)
        return y

    def attend(self, query, key, value):
        heads = self.vit.layers[0].attn.num_heads
        query, key, value = (
            t.unflatten(-1, (heads, -1)).transpose(1, 2)
            for t in (query, key, value)
        )
        scores = query @ key.mT / query.shape[-1] ** 0.5
        return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)

    def log_attention(self, query, key, prompts):
        """Log of the mean over heads of the weights (B, P) of prompts."""
        heads = self.vit.layers[0].attn.num_heads
        weights = 0
        for q, k in zip(
            query.chunk(heads, -1), key.chunk(heads, -1), strict=True
        ):
            scores = (k @ q.unsqueeze(-1))[..., 0] / q.shape[-1] ** 0.5
            weights = weights + scores.softmax(-1)[:, prompts] / heads
        return weights.log()

    def layer(self, i, x):
        """Return the output and what attention computed of all tokens."""
        layer = self.vit.layers[i]
        normed = self.tuned('norm', i, 'norm1', layer.ln1(x))
        query, key, value = (self.linear(i, p, normed) for p in 'qkv')
        for tuner in self.vit.all_tuners():
            if type(tuner).prefix is not Tuner.prefix:
                pair = tuner.prefix(i)
                if pair is not None:
                    pair = [t.expand(len(x), -1, -1) for t in pair]
                    key = torch.cat([key, pair[0]], 1)
                    value = torch.cat([value, pair[1]], 1)
        attended = self.attend(query, key, value)
        states = x, normed, query, key, value, attended
        out = layer.attn.gamma1(self.linear(i, 'proj', attended))
        x = x + self.tuned('attention', i, x, out)
        hidden = self.tuned('norm', i, 'norm2', layer.ln2(x))
        hidden = self.linear(i, 'fc1', hidden)
        if isinstance(layer.ffn, SwiGLUFFN):
            one, other = hidden.chunk(2, -1)
            hidden = silu(one) * other
        else:
            hidden = gelu(hidden)
        out = layer.ffn.gamma2(self.linear(i, 'fc2', hidden))
        x = x + self.tuned('mlp', i, x, out)
        return self.tuned('block', i, x), states

    def tokens(self, i, states, count, targets):
        """Return the guided tokens of a layer with ``count`` prompts."""
        x, normed, query, key, value, attended = states
        last = x.shape[1]
        prompts, patches = slice(1, 1 + count), slice(1 + count, last)
        own = query[range(len(x)), 1 + targets].unsqueeze(1)
        saliency = self.attend(own, key[:, patches], value[:, patches])
        return dict(
            prompt_raw=x[0, prompts],
            prompt_input=normed[0, prompts],
            prompt_query=query[0, prompts],
            prompt_key=key[0, prompts],
            prompt_value=value[0, prompts],
            cls_input=normed[:, 0],
            cls_query=query[:, 0],
            cls_output=attended[:, 0],
            cls_attention=self.log_attention(query[:, 0], key, prompts),
            patch_raw=x[:, patches],
            patch_input=normed[:, patches],
            patch_query=query[:, patches],
            patch_key=key[:, patches],
            patch_output=attended[:, patches],
            saliency=saliency.squeeze(1),
        )

    def __call__(self, images, targets):
        """Return the features, and the tokens of layers with prompts."""
        vit = self.vit
        x, grid = vit.patch_embed(images)
        x = self.tuned('embed', x)
        cls = vit.cls_token.expand(len(x), -1, -1)
        position = resize_pos_embed(
            vit.pos_embed, vit.patch_resolution, grid, num_extra_tokens=1
        )
        cls, x = (torch.cat([cls, x], 1) + position).tensor_split([1], dim=1)
        prompts, outs, tokens = x[:, :0], [], {}
        for i in range(vit.num_used_layers):
            if vit.prompts.counts[i]:
                prompts = self.tuned('prompts', i, vit.prompts[str(i)])
                prompts = prompts.expand(len(x), -1, -1)
            elif not vit.propagate:
                prompts = x[:, :0]
            count = prompts.shape[1]
            out, states = self.layer(i, torch.cat([cls, prompts, x], 1))
            if i == vit.num_layers - 1 and vit.final_norm:
                out = self.tuned('norm', i, 'final', vit.ln1(out))
            if vit.prompts.counts[i]:
                tokens[i] = self.tokens(i, states, count, targets)
            cls, prompts, x = out.tensor_split([1, 1 + count], dim=1)
            pooled = vit.pool_prompts and i == vit.num_used_layers - 1
            shown = out if pooled else torch.cat([cls, x], 1)
            if i in vit.out_indices:
                outs.append(vit._format_output(shown, grid))
        return outs, tokens
