from .davpt_vit import DAVPTVisionTransformer
from .forward_pass import BackboneTokens
from .guided_tokens import SALIENCY_KEYS, TOKEN_NAMES, TokenRequest
from .prompt_cache import PromptCache
from .prompted_layer import LayerTask, project_prompts, prompted_layer
from .prompts import DeepPrompts, prompt_init_bound, prompts_per_layer

__all__ = [
    'BackboneTokens',
    'DAVPTVisionTransformer',
    'DeepPrompts',
    'LayerTask',
    'PromptCache',
    'SALIENCY_KEYS',
    'TOKEN_NAMES',
    'TokenRequest',
    'project_prompts',
    'prompt_init_bound',
    'prompted_layer',
    'prompts_per_layer',
]
