run=@{run}
# After the loss of a node its lock stays behind, and counts as lost once it has been silent for 90 s.
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then
    for _ in {1..20}; do [ ! -e "$run/.lock" ] || sleep 5; done
fi

# A process that hangs when another has long ended is ended, too; the first one may still measure for minutes.
srun --wait=600 ${SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK} $launch "$python" -m wherewhat_pl \
    @{command}
status=$?
