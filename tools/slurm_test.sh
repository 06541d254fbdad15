#!/usr/bin/env bash
# Test with Slurm: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of test.py]
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5) and SRUN_ARGS come from the environment. Without GPUs set
# GRES to nothing: `GRES= GPUS=4 GPUS_PER_NODE=4` starts four processes on one machine.
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" slurm test "$@"
