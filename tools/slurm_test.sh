#!/usr/bin/env bash
# Test with Slurm: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of test.py]
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5), GRES (gpu:GPUS_PER_NODE) and SRUN_ARGS come from the environment.
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" slurm test "$@"
