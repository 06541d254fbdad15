#!/usr/bin/env bash
# Train with Slurm: slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of train.py]
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5), GRES (gpu:GPUS_PER_NODE) and SRUN_ARGS come from the environment.
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" slurm train "$@"
