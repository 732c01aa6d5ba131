#!/bin/bash
# @{what} as a Slurm job; sent back to the queue, it goes on where it was saved.
#SBATCH --job-name=@{job_name}
#SBATCH --nodes=@{nodes}
#SBATCH --ntasks-per-node=@{tasks}
@{options}
#SBATCH --chdir=@{folder}
#SBATCH --output=@{log}
#SBATCH --open-mode=append
#SBATCH --requeue
# Two minutes before the time limit, and as a notice of preemption. With B: to this shell, else to srun's processes.
#SBATCH --signal=@{signal}USR1@@120

# Your own lines may set these, e.g. launch="apptainer exec --nv image.sif" python=python3
launch=
python=@{python}
@{setup}

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
job=$SLURM_JOB_ID
# The last task of an array has the array's own number, which would mean all of it.
[ -z "$SLURM_ARRAY_TASK_ID" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID

@{start}

# 138 is 128 + SIGUSR1: saved, and more to do. 143, SIGTERM, is a scancel, and the job stays ended; or a preemption with
# time to save, after which Slurm itself queues only jobs that did not end by then.
is_preempted() { scontrol show job --oneliner "$job" | grep -q " PreemptTime=[0-9]"; }
if [ $status = 138 ] || { [ $status = 143 ] && is_preempted; }; then
    if scontrol requeue "$job"; then
        echo "job $job: stopped and saved, back in the queue"
    else
        echo "error: scontrol requeue $job failed; submit the job again, it goes on where it was saved" >&2
    fi
fi
exit $status
