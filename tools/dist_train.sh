#!/usr/bin/env bash
# Train with several processes: dist_train.sh CONFIG GPUS [arguments of train.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT (29500) on each. On a single one
# any free port is taken, so that several runs share it.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [arguments of train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PORT=${PORT:-${MASTER_PORT:-}}

if [ "${NNODES:-1}" = 1 ] && [ -z "$PORT" ]; then
    MEETING=(--standalone)
else
    MEETING=(
        --nnodes="${NNODES:-1}"
        --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}"
        --master_port="${PORT:-29500}"
    )
fi

# Signals are to reach the processes, and not to end this shell alone.
exec "${PYTHON:-python}" "$HERE/dist_launch.py" "${MEETING[@]}" \
    --nproc_per_node="$GPUS" \
    "$HERE/train.py" "$CONFIG" --launcher pytorch "${@:3}"
