#!/usr/bin/env bash
# A search in one Slurm allocation: sbatch docs/cluster/slurm.sh. Submit it again to go on.
#SBATCH --job-name=invsearch
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=08:00:00
set -euo pipefail

SPACE=${SPACE:-rednet}
STORAGE=${STORAGE:-$PWD/checkpoints} # on a file system that all nodes mount

RAY_AUTH_TOKEN=$(python3 -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$head:$((20000 + SLURM_JOB_ID % 20000)) # another job's head may be on the same machine

srun --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --port="${address##*:}" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
sleep 20
if ((SLURM_JOB_NUM_NODES > 1)); then
  srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
    ray start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
  sleep 30
fi

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
  invsearch run "$SPACE" --address "$address" --resume \
  --set cluster.gpus_per_trial=1 --set "cluster.storage_path=$STORAGE"
