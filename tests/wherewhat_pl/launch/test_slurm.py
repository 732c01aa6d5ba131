"""The job script says what Slurm and the shell must read; a stub stands in for sbatch."""

import os
import re
import shlex
import subprocess
from importlib import import_module

import pytest

from wherewhat_pl.cli import VERBS, main, read
from wherewhat_pl.errors import ConfigError
from wherewhat_pl.launch.slurm import Resources


@pytest.fixture
def dry(capsys):
    """A function: words after ``slurm`` -> the script it would submit."""

    def run(*words):
        with pytest.raises(SystemExit) as stop:
            main(["slurm", "exp=shapes3d_quick", *words, "--dry"])
        said = capsys.readouterr()
        return said.out if stop.value.code == 0 else said.err

    return run


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """``sbatch``, ``squeue``, ``scontrol`` and ``srun`` that note what they were given; jobs are number 12."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, body in {
        "sbatch": f'printf "%s\\n" "$@" > {tmp_path}/options; cat > {tmp_path}/script; echo 12',
        "squeue": f"cat {tmp_path}/queue 2>/dev/null",
        "scontrol": f'[ $1 = show ] && echo "JobId=12 $SHOWN" || echo "$@" >> {tmp_path}/requeued',
        "srun": f'for word; do printf "%s\\n" "$word"; done > {tmp_path}/words; exit "${{SRUN_STATUS:-0}}"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def submit(*words):
    with pytest.raises(SystemExit) as stop:
        main(["slurm", "exp=shapes3d_quick", *words])
    return stop.value.code


def execute(folder, **environment):
    """Run the script that was submitted, as Slurm would; its exit status."""
    given = {"SLURM_JOB_ID": "12", **environment}
    return subprocess.run(["bash", folder / "script"], env=os.environ | given, capture_output=True, text=True)


def options_of(script):
    return dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", script, re.M))


def test_the_script_asks_for_what_was_said_and_says_it_to_the_program(dry):
    script = dry("nodes=2", "gpus=4", "time=24:00:00", "cpus=4")
    options = options_of(script)
    assert (options["nodes"], options["ntasks-per-node"], options["gres"]) == ("2", "4", "gpu:4")
    assert (options["time"], options["cpus-per-task"]) == ("24:00:00", "4")
    assert (options["requeue"], options["open-mode"], options["signal"]) == ("", "append", "USR1@120")
    assert options["output"] == "runs/shapes3d_quick/seed0/slurm-%j.out"
    for word in ("trainer.num_nodes=2", "trainer.devices=4", "trainer.accelerator=gpu", "run.name=seed0"):
        assert f"    {word}" in script
    assert "array" not in options


def test_without_gpus_there_is_a_process_per_node_on_cpus(dry):
    script = dry("nodes=2", "gpus=0")
    assert options_of(script)["ntasks-per-node"] == "1"
    assert "gres" not in options_of(script)
    assert "trainer.accelerator=cpu" in script


def test_an_array_has_a_run_for_each_seed_named_as_train_would(dry):
    script = dry("seeds=0-4:2,7%2", "gpus=0", "model.ps.weight=0.2")
    assert options_of(script)["array"] == "0-4:2,7%2"
    assert options_of(script)["output"] == "runs/shapes3d_quick/seed%a+ps.weight=0.2/slurm-%A_%a.out"
    named = dry("seeds=1", "gpus=0", "run.name=mine")
    assert options_of(named)["output"] == "runs/shapes3d_quick/mine-seed%a/slurm-%A_%a.out"


def test_a_job_of_an_array_trains_its_own_seed_and_requeues_only_itself(cluster):
    assert submit("seeds=3-4", "gpus=0", "model.ps.weight=0.2") == 0
    done = execute(cluster, SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID="4", SRUN_STATUS="138")
    words = (cluster / "words").read_text().splitlines()
    assert {"seed=4", "run.name=seed4+ps.weight=0.2", "model.ps.weight=0.2"} <= set(words)
    assert (cluster / "requeued").read_text() == "requeue 12_4\n"
    assert done.returncode == 138


@pytest.mark.parametrize("value", ['it\'s "mine"', "a b", "$HOME `ls` $(ls)", "a\\b", "100%", "@{nodes} @@ @"])
def test_a_value_arrives_at_the_program_as_it_was_typed(cluster, value):
    assert submit("gpus=0", f"data.root={value}", f"run.root={cluster}/{value}") == 0
    assert execute(cluster).returncode == 0
    words = (cluster / "words").read_text().splitlines()
    assert f"data.root={value}" in words
    assert f"run.root={cluster}/{value}" in words
    output = options_of((cluster / "script").read_text())["output"]
    assert shlex.split(output) == [f"{cluster}/{value}".replace("%", "%%") + "/shapes3d_quick/seed0/slurm-%j.out"]


@pytest.mark.parametrize(
    ("status", "shown", "requeued"),
    [
        (0, "", False),
        (1, "", False),
        (137, "PreemptTime=2026-11-25T18:17:17", False),  # killed in the middle: Slurm itself queues it again
        (138, "PreemptTime=None", True),  # SIGUSR1
        (143, "PreemptTime=None", False),  # SIGTERM by scancel
        (143, "PreemptEligibleTime=2026-11-25T18:17:13 PreemptTime=None", False),
        (143, "PreemptTime=2026-11-25T18:17:17 SuspendTime=None", True),
    ],
)
def test_a_notice_or_a_preemption_sends_a_job_back_and_the_status_stays(cluster, status, shown, requeued):
    assert submit("gpus=0") == 0
    assert execute(cluster, SRUN_STATUS=str(status), SHOWN=shown).returncode == status
    assert (cluster / "requeued").exists() == requeued


def test_a_requeue_that_fails_is_said_and_the_status_stays(cluster):
    assert submit("gpus=0") == 0
    (cluster / "programs" / "scontrol").write_text("#!/bin/sh\nexit 1\n")
    done = execute(cluster, SRUN_STATUS="138")
    assert (done.returncode, done.stderr.count("error:")) == (138, 1)


def test_submitting_says_job_run_and_log_and_makes_the_folders(cluster, capsys):
    assert submit("seeds=0-1", "gpus=0", "sbatch=--partition=a --comment='two words'") == 0
    said = capsys.readouterr().out
    assert re.search(r"^job +12\b", said)
    assert "tail -F runs/shapes3d_quick/seed0/slurm-12_0.out" in said
    assert (cluster / "options").read_text().splitlines() == ["--parsable", "--partition=a", "--comment=two words"]
    for seed in (0, 1):
        assert (cluster / f"runs/shapes3d_quick/seed{seed}/slurm-job").read_text() == f"12_{seed}"


def test_a_run_that_is_in_the_queue_is_not_submitted_twice(cluster, capsys):
    assert submit("gpus=0") == 0
    (cluster / "queue").write_text("12 PENDING\n")
    assert submit("gpus=0") == 2
    assert "is job 12 already (pending); scancel 12 first" in capsys.readouterr().err


def test_own_lines_stand_before_the_program_and_may_wrap_it(cluster):
    (cluster / "slurm_setup.sh").write_text("launch='nice -n 1'\nexport MINE=$SLURM_JOB_ID\n")
    assert submit("gpus=0") == 0
    assert execute(cluster).returncode == 0
    words = (cluster / "words").read_text().splitlines()
    assert words[1:4] == ["nice", "-n", "1"]
    assert "export MINE=$SLURM_JOB_ID" in (cluster / "script").read_text()


@pytest.fixture
def agent(cluster, capsys):
    """A function: words after ``slurm agent=...`` -> exit status, what was printed, what was complained about.

    The script starts, in place of Python, a program that notes its words and the cores that an ``srun`` would take.
    """
    stub = cluster / "programs" / "python-of-agent"
    noted = f'printf "%s\\n" "$@" > {cluster}/words; echo "${{SRUN_CPUS_PER_TASK-none}}" > {cluster}/cores'
    stub.write_text(f"#!/bin/sh\n{noted}; exit $STATUS\n")
    stub.chmod(0o755)
    (cluster / "slurm_setup.sh").write_text("python=python-of-agent\n")

    def run(*words):
        with pytest.raises(SystemExit) as stop:
            main(["slurm", "agent=me/p/abc", *words])
        said = capsys.readouterr()
        return stop.value.code, said.out, said.err

    return run


def test_an_agents_job_is_told_its_sweep_and_hears_of_its_end_in_the_shell(cluster, agent):
    status, said, _ = agent("count=2", "nodes=2", "gpus=4", "time=2:00:00")
    assert status == 0
    options = options_of((cluster / "script").read_text())
    assert (options["nodes"], options["ntasks-per-node"], options["gres"]) == ("2", "4", "gpu:4")
    assert (options["time"], options["signal"], options["job-name"]) == ("2:00:00", "B:USR1@120", "agent")
    assert options["output"] == "runs/agents/slurm-%j.out"
    assert (cluster / "runs" / "agents").is_dir()  # or Slurm would lose the log
    for line in ("tail -F runs/agents/slurm-12.out", "squeue --jobs=12", "scancel --signal=USR1 --batch 12"):
        assert f"   {line}" in said
    assert execute(cluster, STATUS="0").returncode == 0
    assert (cluster / "words").read_text().splitlines() == ["-m", "wherewhat_pl", "agent", "sweep=me/p/abc", "count=2"]
    assert not (cluster / "requeued").exists()
    assert execute(cluster, STATUS="138").returncode == 138
    assert (cluster / "requeued").read_text() == "requeue 12\n"


def test_the_srun_of_a_sweep_takes_the_cores_that_the_job_has_for_each_process(cluster, agent, monkeypatch):
    for name in ("SLURM_CPUS_PER_TASK", "SRUN_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    assert agent("cpus=4")[0] == 0
    for environment, cores in (({"SLURM_CPUS_PER_TASK": "4"}, "4"), ({}, "none")):
        assert execute(cluster, STATUS="0", **environment).returncode == 0
        assert (cluster / "cores").read_text().strip() == cores


@pytest.mark.parametrize("sbatch", ["--array=1-8", "-a 1-8", "--partition=a --array 1-8"])
def test_each_agent_of_an_array_has_a_log_and_all_can_be_followed(cluster, agent, sbatch):
    status, said, _ = agent(f"sbatch={sbatch}")
    assert status == 0
    assert options_of((cluster / "script").read_text())["output"] == "runs/agents/slurm-%A_%a.out"
    assert "tail -F runs/agents/slurm-12_*.out " in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["exp=shapes3d_quick"], "exp: say what to train, or agent=... which sweep to work for; one of them"),
        (["agent=null"], "exp: say what to train, or agent=..."),
        (["model.ps.weight=0.2"], "model.ps.weight=0.2: a sweep's trainings are set in its file"),
        (["seeds=0-3"], "seeds: a sweep gives each training its own; --array=1-4 in sbatch makes four agents"),
    ],
)
def test_what_no_agent_takes_is_refused_in_one_line(cluster, agent, words, message):
    status, _, said = agent(*words)
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith(f"error: {message}")
    assert not (cluster / "script").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nodes=0"], "nodes=0: must be at least 1"),
        (["gpus=3"], "must be divisible by the 3 processes"),
        (["gpus=2", "tasks=4"], "tasks=4: must be gpus=2"),
        (["time=soon"], "time=soon: must be like 90 (minutes), 24:00:00 or 2-12"),
        (["time=5"], "time=5: is 5 minutes"),
        (["seeds=1..3"], "seeds=1..3: must be like 0-9"),
        (["seeds=9-0"], "seeds=9-0: names no seed"),
        (["seeds=0-9", "seed=1"], "seed: follows from seeds here; leave it out"),
        (["trainer.devices=2"], "trainer.devices: follows from nodes, gpus and tasks here"),
        (["setup=nowhere.sh"], "setup=nowhere.sh: no such file"),
        (["partition=gpu"], "partition: no such setting"),
        (["model.mask=circles"], "model.mask=circles: no such kind of masks"),
        (["sbatch=it's"], "sbatch=it's: No closing quotation"),
    ],
)
def test_a_mistake_is_refused_in_one_line_before_anything_is_submitted(cluster, words, message, capsys):
    assert submit(*words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert message in said
    assert not (cluster / "script").exists()
    assert not (cluster / "runs").exists()


def test_where_there_is_no_sbatch_that_is_said(cluster, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert submit("gpus=0") == 2
    assert "sbatch: is not on this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("time", "is_enough"),
    [("10", True), ("9:59", False), ("0:10:00", True), ("0-1", True), ("0-0:09", False), ("1-0:0:0", True)],
)
def test_limits_are_read_as_slurm_reads_them(time, is_enough):
    if is_enough:
        Resources(time=time).check()
    else:
        with pytest.raises(ConfigError, match="give at least 10"):
            Resources(time=time).check()


def test_words_of_the_command_line_become_settings():
    settings = read("slurm", import_module(VERBS["slurm"]), ["exp=a", "nodes=2", "time=1:30:00", "dry=1", "seed=3"])
    assert (settings.nodes, settings.time, settings.dry, settings.overrides) == (2, "1:30:00", True, ["seed=3"])
