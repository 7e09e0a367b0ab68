#!/usr/bin/env bash
# A search whose workers are the tasks of one Slurm job, without Ray: sbatch docs/cluster/workers.sh. Submit it again to go on.
#SBATCH --job-name=invsearch
#SBATCH --ntasks=4
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --time=08:00:00
#SBATCH --signal=TERM@60
set -euo pipefail

SPACE=${SPACE:-rednet}
RUN=${RUN:-$PWD/results/$SPACE} # on a file system that all nodes mount

invsearch run "$SPACE" --executor folder --out "$RUN" --resume --set cluster.gpus_per_trial=1 &
driver=$!
srun --kill-on-bad-exit=0 invsearch work "$RUN" --threads "$SLURM_CPUS_PER_TASK" &
workers=$!

status=0
wait "$driver" || status=$?
((status == 0)) || kill "$workers" # they would wait for a driver; their trials are kept
wait "$workers" || true
exit "$status"
