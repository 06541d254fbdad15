#!/usr/bin/env bash
# Train with Slurm: slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of train.py]
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5) and SRUN_ARGS come from the environment. Without GPUs set
# GRES to nothing: `GRES= GPUS=4 GPUS_PER_NODE=4` starts four processes on one machine.
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" slurm train "$@"
