#!/usr/bin/env bash
# Train with several processes: dist_train.sh CONFIG GPUS [arguments of train.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT (29500) on each, see dist_launch.py.
# A single machine takes any free port, so that several runs can share it.
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" dist train "$@"
