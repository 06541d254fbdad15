from .agreement_hook import AgreementHook as AgreementHook
from .checkpoint_hook import DAVPTCheckpointHook as DAVPTCheckpointHook
from .guidance_fade_hook import GuidanceFadeHook as GuidanceFadeHook
from .parameter_table_hook import ParameterTableHook as ParameterTableHook
from .prefix_cache_hook import PrefixCacheHook as PrefixCacheHook
from .prompt_init_hook import PromptInitHook as PromptInitHook
from .prompt_mapping_hook import PromptMappingHook as PromptMappingHook
from .training_check_hook import TrainingCheckHook as TrainingCheckHook
