#!/bin/bash
# Features on many machines, then the probes: a Slurm array. Any other scheduler does as well: all
# that a worker needs is --worker R/W, with its number R from 0 and the number W of workers.
#
#     sbatch --array=0-15 examples/slurm_array.sh
#
# Task R makes the chunks whose number modulo 16 is R, on all GPUs of its node, in the shared folder
# $OUT; there are no locks and no coordinator. One that was killed or preempted is started again
# with the same number and goes on:
#
#     sbatch --array=3,7 --export=ALL,WORKERS=16 examples/slurm_array.sh
#
# Two minutes before its time is over, Slurm sends SIGUSR1 to cog, which then ends with status 138;
# the task asks to be started again, and goes on. `scancel` sends SIGTERM: that task stays ended.
#
# The array ends with as many evaluations: a worker fits those of its cells whose features are
# there. Once all tasks have ended, fit what is left and write results.csv:
#
#     sbatch --dependency=afterany:JOB --gpus=1 --wrap "cog evaluate ... (without --worker)"
#
#SBATCH --job-name=cog
#SBATCH --gpus=1
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=cog-%A_%a.log

set -euo pipefail

# What to evaluate, and where: change these, or give them with --export.
MODELS=${MODELS:-"sup_resnet50 dino"}
IMAGES=${IMAGES:-/data/imagenet21k}
IN1K=${IN1K:-/data/imagenet}
OUT=${OUT:-$PWD/runs}              # a folder that all nodes see

# Numbers must be the same in every task: Slurm counts the tasks of this array, which are fewer than
# the workers when only some of them are started again.
WORKERS=${WORKERS:-$SLURM_ARRAY_TASK_COUNT}
WORKER=$SLURM_ARRAY_TASK_ID/$WORKERS

# Images are decoded by as many threads as this task has cores. `srun` must be told of them too, or
# it gives the program one.
CORES=${SLURM_CPUS_PER_TASK:-$(nproc)}
export SRUN_CPUS_PER_TASK=$CORES

options=(--images "$IMAGES" --in1k "$IN1K" --out "$OUT" --worker "$WORKER" --workers "$CORES")
for model in $MODELS; do
    options+=(--model "$model")
done

# Signals go to what `srun` starts, not to this script.
run() {
    local status=0
    srun --ntasks=1 "$@" || status=$?
    if [ "$status" -eq 138 ]; then  # the time is nearly over
        scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
    fi
    return "$status"
}

# 1. This worker's chunks, of all models in one pass over the images.
run cog extract "${options[@]}"

# 2. This worker's cells, as far as the features are there.
run cog evaluate "${options[@]}"
