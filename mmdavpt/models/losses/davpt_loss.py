"""The guidance loss of all guided layers, as a registered module."""

import math
from collections.abc import Mapping
from numbers import Real

import torch
from torch import Tensor, nn

from mmdavpt.registry import MODELS

from .proxy_anchor import (
    POSITIVE_MEANS,
    cosine_similarity_matrix,
    proxy_anchor_loss,
)
from .proxy_nca import proxy_nca_loss
from .triplet import triplet_loss

METRICS = {
    'proxy_anchor': proxy_anchor_loss,
    'proxy_nca': proxy_nca_loss,
    'triplet': triplet_loss,
}
TOKENS = (
    'saliency',
    'patch_output',
    'patch_input',
    'patch_query',
    'patch_key',
    'patch_raw',
)
PROMPTS = ('query', 'input', 'raw')
CLS = ('query', 'input')

#: What the paper describes, and what the released code computes whatever its
#: ``patch_type`` says.
PRESETS = {
    'paper': dict(
        token='saliency',
        prompt='query',
        cls='query',
        prompt_scale=1.0,
        positive_mean='positive',
    ),
    'released': dict(
        token='patch_raw',
        prompt='raw',
        cls='query',
        prompt_scale=5.0,
        positive_mean='all',
    ),
}


def _check_choice(name: str, value: object, choices: tuple) -> None:
    if value not in choices:
        raise ValueError(
            f'{name} of DAVPTLoss should be one of '
            f'{tuple(choices)}, but got {value!r}'
        )


def _check_number(name: str, value: object, least: float = -math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f'{name} of DAVPTLoss should be a number, but got {value!r}'
        )
    if not math.isfinite(value) or value < least:
        bound = '' if least == -math.inf else f' and at least {least:g}'
        raise ValueError(
            f'{name} of DAVPTLoss should be finite{bound}, but got {value!r}'
        )


@MODELS.register_module()
class DAVPTLoss(nn.Module):
    r"""The two guidance terms of eq. 5, averaged over the guided layers.

    .. math::
        \beta \mathcal{L}(X, P) + \lambda \mathcal{L}(x_{cls}, P)

    Options that are left at None take the value of ``preset``; without a
    preset, that of 'paper'.

    Args:
        metric (str): The loss that compares tokens and prompts. Defaults to
            'proxy_anchor'.

            - 'proxy_anchor': :func:`proxy_anchor_loss` (eq. 4);
            - 'proxy_nca': :func:`proxy_nca_loss` (Table 7);
            - 'triplet': :func:`triplet_loss` (Table 7).
        token (str, optional): The visual token of a sample.

            - 'saliency': attention output at the prompt that the sample's
              class maps to (paper);
            - 'patch_output', 'patch_input', 'patch_query', 'patch_key': mean
              of the patches' attention output, LN1 output, query or key;
            - 'patch_raw': mean of the block's patches before LN1 (released).
        prompt (str, optional): The prompt as 'query' (paper), as LN1
            output ('input') or 'raw' (released).
        cls (str, optional): The [CLS] token as 'query' (paper, released) or
            as LN1 output ('input').
        token_weight (float): :math:`\beta`. Defaults to 0.01.
        cls_weight (float): :math:`\lambda`. Defaults to 0.01.
        alpha (float, optional): The sharpness, 32 if None. 'triplet' has
            none and refuses it.
        margin (float): The margin :math:`\delta`. Defaults to 0.1.
        prompt_scale (float, optional): Factor on the unit prompts.
        positive_mean (str, optional): See :func:`proxy_anchor_loss`; the
            other metrics refuse it.
        preset (str, optional): A name out of ``PRESETS``. Defaults to None.

    Raises:
        ValueError: If a value is unknown or out of range, if options
            contradict each other, or if both weights are 0.
        TypeError: If a number is none.
    """

    def __init__(
        self,
        metric: str = 'proxy_anchor',
        token: str | None = None,
        prompt: str | None = None,
        cls: str | None = None,
        token_weight: float = 0.01,
        cls_weight: float = 0.01,
        alpha: float | None = None,
        margin: float = 0.1,
        prompt_scale: float | None = None,
        positive_mean: str | None = None,
        preset: str | None = None,
    ) -> None:
        super().__init__()
        _check_choice('metric', metric, tuple(METRICS))
        if preset is not None:
            _check_choice('preset', preset, tuple(PRESETS))
        if metric == 'triplet' and alpha is not None:
            raise ValueError(
                "alpha has no meaning for metric='triplet', but got "
                f'alpha={alpha!r}; leave alpha out or choose another metric'
            )
        if metric != 'proxy_anchor' and positive_mean is not None:
            raise ValueError(
                f'positive_mean has no meaning for metric={metric!r}, but got '
                f'positive_mean={positive_mean!r}; leave it out or choose '
                "metric='proxy_anchor'"
            )
        default = PRESETS[preset or 'paper']

        def chosen(name: str, value: object) -> object:
            return default[name] if value is None else value

        self.metric = metric
        self.token = chosen('token', token)
        self.prompt = chosen('prompt', prompt)
        self.cls = chosen('cls', cls)
        self.prompt_scale = chosen('prompt_scale', prompt_scale)
        self.token_weight = token_weight
        self.cls_weight = cls_weight
        self.metric_args = dict(margin=margin)
        if metric != 'triplet':
            self.metric_args['alpha'] = 32.0 if alpha is None else alpha
        if metric == 'proxy_anchor':
            self.metric_args['positive_mean'] = chosen(
                'positive_mean', positive_mean
            )
        self._check_options()

    def _check_options(self) -> None:
        """Raise a sentence for the first option that does not fit."""
        _check_choice('token', self.token, TOKENS)
        _check_choice('prompt', self.prompt, PROMPTS)
        _check_choice('cls', self.cls, CLS)
        _check_number('token_weight', self.token_weight, least=0)
        _check_number('cls_weight', self.cls_weight, least=0)
        _check_number('margin', self.metric_args['margin'])
        positive = dict(prompt_scale=self.prompt_scale)
        if 'alpha' in self.metric_args:
            positive['alpha'] = self.metric_args['alpha']
        for name, value in positive.items():
            _check_number(name, value)
            if value <= 0:
                raise ValueError(
                    f'{name} of DAVPTLoss should be positive, '
                    f'but got {value!r}'
                )
        if 'positive_mean' in self.metric_args:
            _check_choice(
                'positive_mean',
                self.metric_args['positive_mean'],
                POSITIVE_MEANS,
            )
        if self.token_weight == 0 and self.cls_weight == 0:
            raise ValueError(
                'token_weight and cls_weight of DAVPTLoss are both 0, which '
                'guides nothing; give one of them a positive weight, or leave '
                'the guidance out of the model'
            )

    @property
    def terms(self) -> dict[str, tuple[float, str]]:
        """dict: Weight and token name of each loss with a weight."""
        terms = {
            'loss_guidance_token': (self.token_weight, self.token),
            'loss_guidance_cls': (self.cls_weight, f'cls_{self.cls}'),
        }
        return {name: term for name, term in terms.items() if term[0] > 0}

    @property
    def required_tokens(self) -> frozenset[str]:
        """frozenset[str]: Names of the tokens that :meth:`forward` reads.

        Out of 'prompt_raw', 'prompt_input', 'prompt_query' of shape (P, C);
        'cls_input', 'cls_query' of shape (B, C); 'patch_raw', 'patch_input',
        'patch_query', 'patch_key', 'patch_output' of shape (B, N, C); and
        'saliency' of shape (B, C).
        """
        return frozenset(
            [f'prompt_{self.prompt}', *(t for _, t in self.terms.values())]
        )

    def extra_repr(self) -> str:
        """Show the resolved options when the module is printed."""
        options = dict(
            metric=self.metric,
            token=self.token,
            prompt=self.prompt,
            cls=self.cls,
            token_weight=self.token_weight,
            cls_weight=self.cls_weight,
            prompt_scale=self.prompt_scale,
            **self.metric_args,
        )
        return ', '.join(
            f'{name}={value!r}' for name, value in options.items()
        )

    def forward(
        self,
        tokens: Mapping[int, Mapping[str, Tensor]],
        target: Tensor,
        guided: Tensor,
    ) -> dict[str, Tensor]:
        """Compute the weighted guidance terms.

        Args:
            tokens (Mapping[int, Mapping[str, Tensor]]): Per guided layer the
                tokens named by :attr:`required_tokens`. The 'saliency' is
                that at the prompt of each sample's class.
            target (Tensor): Prompt that each sample's class maps to, or -1
                for a sample that takes no part, int64, shape (B, ). Whatever
                the tokens of such a sample hold, NaN included, it reaches
                neither loss nor gradients.
            guided (Tensor): Whether each prompt is guided, bool, shape (P, ).

        Returns:
            dict[str, Tensor]: 'loss_guidance_token' and 'loss_guidance_cls',
            those of them whose weight is not 0, scalars.

        Raises:
            KeyError: If a layer lacks a token.
            ValueError: If there is no layer or a shape does not fit.
        """
        if not tokens:
            raise ValueError(
                'tokens should hold at least one guided layer, '
                'but got none; set guided_layers of the backbone'
            )
        layers = [
            self._layer_terms(layer, tokens[layer], target, guided)
            for layer in tokens
        ]
        return {
            name: weight * torch.stack([term[name] for term in layers]).mean()
            for name, (weight, _) in self.terms.items()
        }

    def _layer_terms(
        self,
        layer: int,
        tokens: Mapping[str, Tensor],
        target: Tensor,
        guided: Tensor,
    ) -> dict[str, Tensor]:
        """Return the unweighted terms of one guided layer by name."""
        missing = sorted(self.required_tokens - set(tokens))
        if missing:
            raise KeyError(
                f'guided layer {layer} should hand out {missing}, but has '
                f'only {sorted(tokens)}; ask the backbone for all of '
                'required_tokens of the loss'
            )
        prompts = tokens[f'prompt_{self.prompt}']
        takes_part = (target >= 0).unsqueeze(1)
        losses = {}
        for name, (_, token) in self.terms.items():
            x = tokens[token]
            if token.startswith('patch_'):
                # Summed in float32: bfloat16 keeps three digits of a mean.
                x = x.mean(
                    1, dtype=torch.promote_types(x.dtype, torch.float32)
                )
            # The gradient of a similarity is the other vector: a NaN here
            # would reach the prompts even with a zero gradient.
            x = torch.where(takes_part, x, torch.zeros_like(x))
            similarity = cosine_similarity_matrix(
                x, prompts, self.prompt_scale
            )
            losses[name] = METRICS[self.metric](
                similarity, target, guided, **self.metric_args
            )
        return losses
