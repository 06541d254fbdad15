"""Keys of configs that no signature tells, as the hosts read them."""

#: Top-level keys that a run reads besides the arguments of ``Runner``.
RUN_KEYS = {
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'default_scope',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'launcher',
    'load_allowed',
    'model_wrapper_cfg',
    'protocol',
    'protocols',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}

#: What is read from dicts that have no ``type``, by the key that holds them.
PLAIN_DICTS = {
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'randomness': {'seed', 'diff_rank_seed', 'deterministic'},
    'auto_scale_lr': {'enable', 'base_batch_size'},
    'paramwise_cfg': {
        'bias_lr_mult',
        'bias_decay_mult',
        'norm_decay_mult',
        'flat_decay_mult',
        'dwconv_decay_mult',
        'dcn_offset_lr_mult',
        'bypass_duplicate',
        'custom_keys',
    },
    'test_cfg': {
        'mode',
        'crop_size',
        'stride',
        'window_batch',
        'size',
        'size_divisor',
    },
    'mp_cfg': {'mp_start_method', 'opencv_num_threads'},
    'clip_grad': {
        'type',
        'max_norm',
        'norm_type',
        'error_if_nonfinite',
        'foreach',
        'clip_value',
    },
    'train_cfg': {'augments', 'probs'},
    'arch': {'embed_dims', 'num_layers', 'num_heads', 'feedforward_channels'},
}

#: The constructor of optimizers that a config has that names none.
DEFAULT_CONSTRUCTOR = 'DefaultOptimWrapperConstructor'

#: The constructors that read ``paramwise_cfg`` as above.
PLAIN_CONSTRUCTORS = {DEFAULT_CONSTRUCTOR, 'TrainableOptimWrapperConstructor'}

#: Dicts with a ``type`` that is no name of a registry, or with none at all.
UNREGISTERED = {
    'auto_scale_lr',
    'clip_grad',
    'env_cfg',
    'mp_cfg',
    'paramwise_cfg',
    'randomness',
}

#: Types of dicts that may go without, by their path.
DEFAULT_TYPES = {
    'val_cfg': 'ValLoop',
    'test_cfg': 'TestLoop',
    'optim_wrapper': 'OptimWrapper',
    'log_processor': 'LogProcessor',
    'data_preprocessor': 'mmpretrain.ClsDataPreprocessor',
    'model.data_preprocessor': 'mmpretrain.ClsDataPreprocessor',
    'model.guidance': 'mmdavpt.models.PromptGuidance',
    'tta_model': 'mmpretrain.AverageClsScoreTTA',
}

#: Keys that a builder takes out before it calls the type.
BUILDER_KEYS = {
    'optim_wrapper': {'optimizer', 'paramwise_cfg', 'constructor'},
    'param_scheduler': {'convert_to_iter_based'},
    'train_cfg': {'by_epoch'},
    'norm_cfg': {'requires_grad'},
    'norm_layer': {'requires_grad'},
    'guidance': {'guided_layers'},
    'policies': {'magnitude_key'},  # of older configs, without effect
    'init_cfg': {'allow_pickle'},  # taken by the backbone's strict loading
    'checkpoint': {'tuned_only'},  # the runner has its own hook for these
    'default_hooks.*': {'priority'},
    'custom_hooks': {'priority'},
    # Of several optimizers.
    'optim_wrapper.*': {'optimizer', 'paramwise_cfg', 'constructor'},
    'param_scheduler.*': {'convert_to_iter_based'},
}

#: What builders and the config's own machinery take out of a dict.
OWN_KEYS = {'type', '_scope_', '_delete_'}

#: Dicts that cannot be built without a ``type``, by the key that holds them.
NEED_TYPE = {
    'auxiliary_head',
    'backbone',
    'batch_sampler',
    'collate_fn',
    'custom_hooks',
    'dataset',
    'datasets',
    'decode_head',
    'head',
    'init_cfg',
    'loss',
    'loss_decode',
    'model',
    'neck',
    'optimizer',
    'param_scheduler',
    'pipeline',
    'sampler',
    'test_evaluator',
    'tta_pipeline',
    'val_evaluator',
    'vis_backends',
    'visualizer',
}

#: The default hooks of mmengine, which alone may be None, to be left out.
DEFAULT_HOOKS = {
    'checkpoint',
    'logger',
    'param_scheduler',
    'runtime_info',
    'sampler_seed',
    'timer',
}

#: Top-level keys that are dicts, mostly with a ``type``.
DICTS = {
    'data_preprocessor',
    'default_hooks',
    'env_cfg',
    'log_processor',
    'model_wrapper_cfg',
    'optim_wrapper',
    'randomness',
    'test_cfg',
    'test_dataloader',
    'train_cfg',
    'train_dataloader',
    'val_cfg',
    'val_dataloader',
    'visualizer',
}

#: Parts that may be lists.
SEVERAL = {
    'auxiliary_head',
    'custom_hooks',
    'datasets',
    'decode_head',
    'init_cfg',
    'loss',
    'loss_decode',
    'neck',
    'param_scheduler',
    'pipeline',
    'test_evaluator',
    'tta_pipeline',
    'val_evaluator',
    'vis_backends',
}

#: What arguments are used as besides what the hosts annotate.
ALSO_TAKEN = {
    'init_cfg': list | None,
    'iou_metrics': str,
    'log_level': int,
    'loss_scale': float | dict,
    'resume': None,
    'vis_backends': object,
}

#: Free dicts of which some keys are known: one near to those is misspelt.
EXPECTED_KEYS = {
    'default_hooks': {
        'checkpoint',
        'early_stopping',
        'logger',
        'param_scheduler',
        'runtime_info',
        'sampler_seed',
        'timer',
        'visualization',
    },
    'data_prefix': {
        'depth_map_path',
        'img_path',
        'img_path2',
        'seg_map_path',
    },
    'metainfo': {'classes', 'palette'},
    # Other keys are options of the optimizer for these parameters.
    'custom_keys.*': {'lr_mult', 'decay_mult'},
}
