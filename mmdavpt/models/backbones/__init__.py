from .davpt_timm_vit import DAVPTTimmViT
from .davpt_vit import DAVPTVisionTransformer
from .forward_pass import BackboneTokens, Features, PrefixTokens, frozen_prefix
from .guided_tokens import TOKEN_NAMES, TokenRequest
from .layer_kinds import LAYER_VIEWS, view_of
from .layer_view import LayerView
from .prompted_backbone import PromptedBackbone
