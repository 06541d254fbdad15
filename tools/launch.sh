#!/usr/bin/env bash
# Start train.py or test.py in several processes; called by dist_*.sh and slurm_*.sh as
# launch.sh dist|slurm train|test ARGUMENTS
set -euo pipefail

LAUNCHER=$1
TOOL=$2
shift 2
POSITIONAL=CONFIG
if [ "$TOOL" = test ]; then POSITIONAL='CONFIG CHECKPOINT'; fi
COUNT=$(wc -w <<< "$POSITIONAL")
USAGE="$POSITIONAL GPUS"
if [ "$LAUNCHER" = slurm ]; then USAGE="PARTITION JOB_NAME $POSITIONAL"; fi
if [ $# -lt "$(wc -w <<< "$USAGE")" ]; then
    echo "usage: ${LAUNCHER}_$TOOL.sh $USAGE [arguments of $TOOL.py]" >&2
    exit 2
fi
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHON=${PYTHON:-python}

# `exec` lets signals reach the processes, not only this shell.
if [ "$LAUNCHER" = dist ]; then
    GPUS=${*:COUNT+1:1}
    exec "$PYTHON" "$HERE/dist_launch.py" --nproc_per_node="$GPUS" \
        "$HERE/$TOOL.py" "${@:1:COUNT}" --launcher pytorch "${@:COUNT+2}"
fi
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
GRES=${GRES-gpu:$GPUS_PER_NODE}
# SRUN_ARGS holds several arguments, so it is not quoted.
# shellcheck disable=SC2086
exec srun --partition="$1" \
    --job-name="$2" \
    ${GRES:+--gres="$GRES"} \
    --ntasks="${GPUS:-8}" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "$PYTHON" -u "$HERE/$TOOL.py" "${@:3:COUNT}" --launcher slurm "${@:COUNT+3}"
