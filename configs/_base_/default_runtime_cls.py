"""Runtime of MMPretrain runs, which count epochs."""

default_scope = 'mmpretrain'
randomness = dict(seed=0)
env_cfg = dict(
    cudnn_benchmark=True,  # crops have one size
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(
    type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)
custom_hooks = [
    dict(type='mmdavpt.TrainingCheckHook'),
    dict(type='mmdavpt.PromptMappingHook'),
    dict(type='mmdavpt.ParameterTableHook'),
]
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50),
    # Keep two: the old one is deleted before the new one is complete.
    # Keep no best one: a protocol says which images choose it.
    checkpoint=dict(
        type='CheckpointHook',
        interval=10,  # epochs; each holds the whole backbone
        max_keep_ckpts=2,
    ),
    visualization=dict(type='VisualizationHook'),
)
tta_model = dict(type='mmdavpt.LabelingClsTTAModel')
