# No step of Slurm's: where a training takes several processes, the sweep's command begins with srun, which since Slurm
# 22.05 does not take the job's cores per process by itself.
[ -z "$SLURM_CPUS_PER_TASK" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
$launch "$python" -m wherewhat_pl \
    @{command} &
agent=$!
# The agent passes it on to its training, takes no other, and ends with it.
trap 'kill -USR1 $agent' USR1
trap 'kill -TERM $agent' TERM
wait $agent
while kill -0 $agent 2>/dev/null; do wait $agent; done # a signal ends a wait, too
wait $agent
status=$?
