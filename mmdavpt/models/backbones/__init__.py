from .davpt_vit import BackboneTokens, DAVPTVisionTransformer
from .prompted_layer import (
    SALIENCY_KEYS,
    TOKEN_NAMES,
    TokenRequest,
    prompted_layer,
)
from .prompts import DeepPrompts, prompt_init_bound, prompts_per_layer
from .token_pools import POOLS, TokenPool

__all__ = [
    'BackboneTokens',
    'DAVPTVisionTransformer',
    'DeepPrompts',
    'POOLS',
    'SALIENCY_KEYS',
    'TOKEN_NAMES',
    'TokenPool',
    'TokenRequest',
    'prompt_init_bound',
    'prompted_layer',
    'prompts_per_layer',
]
