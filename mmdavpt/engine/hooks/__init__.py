from .check_hooks import AgreementHook as AgreementHook
from .check_hooks import TrainingCheckHook as TrainingCheckHook
from .checkpoint_hook import DAVPTCheckpointHook as DAVPTCheckpointHook
from .parameter_table_hook import ParameterTableHook as ParameterTableHook
from .prefix_cache_hook import PrefixCacheHook as PrefixCacheHook
from .prompt_hooks import GuidanceFadeHook as GuidanceFadeHook
from .prompt_hooks import PromptInitHook as PromptInitHook
from .prompt_hooks import PromptMappingHook as PromptMappingHook
