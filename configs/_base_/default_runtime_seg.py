"""Runtime of MMSegmentation runs, which count iterations."""

default_scope = 'mmseg'
randomness = dict(seed=0)
env_cfg = dict(
    cudnn_benchmark=True,  # crops have one size
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
log_processor = dict(by_epoch=False)
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)
custom_hooks = [
    dict(type='mmdavpt.TrainingCheckHook'),
    dict(type='mmdavpt.PromptMappingHook'),
    dict(type='mmdavpt.ParameterTableHook'),
]
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    # Keep two: the old one is deleted before the new one is complete.
    # Keep no best one: the reported images would choose it.
    checkpoint=dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=8000,  # iterations
        max_keep_ckpts=2,
    ),
    visualization=dict(type='SegVisualizationHook'),
)
tta_model = dict(type='mmdavpt.RunningSegTTAModel')
