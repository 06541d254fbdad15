#!/usr/bin/env bash
# Test with several processes: dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT (29500) on each, see dist_launch.py.
# A single machine takes any free port, so that several runs can share it.
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" dist test "$@"
