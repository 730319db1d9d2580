"""Which of its job's processes this one is, whoever has started them: Lightning, srun, torchrun, or a user by hand."""

import os
import threading
import time

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from difflab.errors import ConfigError
from difflab.runs import lifeline

PARENT = "DIFFLAB_PARENT"  # for the processes that a process starts: its id and its rank
SHELLS = ("bash", "interactive")  # names of SLURM jobs in which somebody types commands


def tasks() -> int:
    """How many processes srun has started as this one; 0 where it has not, or where there is but this one."""
    if "SLURM_STEP_ID" not in os.environ or os.environ.get("SLURM_JOB_NAME") in SHELLS:
        return 0
    found = int(os.environ.get("SLURM_STEP_NUM_TASKS") or os.environ.get("SLURM_NTASKS") or 1)
    return found if found > 1 else 0


def job_stamp() -> str | None:
    """What names a run folder that all tasks of srun find, also when the job is queued again; None without such."""
    return f"slurm-{os.environ['SLURM_JOB_ID']}.{os.environ['SLURM_STEP_ID']}" if tasks() else None


def torchrun() -> bool:
    """Whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_child() -> bool:
    """Whether another process of the same job does the telling and writing."""
    if tasks():
        return int(os.environ["SLURM_PROCID"]) > 0
    if torchrun():
        return int(os.environ["RANK"]) > 0
    return any(int(os.environ.get(name, 0)) > 0 for name in ("LOCAL_RANK", "NODE_RANK"))


def has_parent() -> bool:
    """Whether another process of the job has started this one, with a command line that is ready to run."""
    return PARENT in os.environ


def follow() -> None:
    """What a process that is not the first does before anything else: be quiet, and end when its parent has ended."""
    os.environ["DIFFLAB_QUIET"] = "1"
    if has_parent():
        parent = int(os.environ[PARENT].split()[0])
        threading.Thread(target=end_with, args=(parent,), name="watching the parent", daemon=True).start()


def end_with(parent: int) -> None:
    """A thread that ends this process, whatever it is doing, once it is an orphan."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def speaks(code: int, reason: str) -> bool:
    """Whether this process tells the user how it ended; a child tells the first process, where it can, and that does.

    On a node of one's own choosing the terminal is another one, where nobody else would say it.
    """
    if not is_child():
        return True
    known = told(code, reason)
    by_hand = not (has_parent() or tasks() or torchrun())
    return by_hand or (code == 1 and not known)


def told(code: int, reason: str) -> bool:
    """Whether the first process has been told; before all have met, one that it has started can call it."""
    line, lifeline.own = lifeline.own, None
    rank = None
    if line is None and has_parent():
        rank = int(os.environ[PARENT].split()[1]) + int(os.environ["LOCAL_RANK"])
        try:
            line = lifeline.call(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        except OSError:
            return False
    if line is None:
        return False
    heard = line.say(rank=rank, code=code, reason=reason)
    line.close()
    return heard


def cores(processes: int) -> int:
    """The threads of one of so many processes that share this machine's cores, those that it may use."""
    if tasks() and "SLURM_CPUS_PER_TASK" in os.environ:
        return int(os.environ["SLURM_CPUS_PER_TASK"])
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // processes)


def check_places(devices: int, nodes: int) -> None:
    """Refuse what would become several jobs, or one that waits for ever.

    Args:
        devices: processes of the trainer on each node.
        nodes: of the trainer.

    Raises:
        ConfigError: where whoever started the processes has started others than the trainer has.
    """
    wanted, started = devices * nodes, tasks() or int(os.environ["WORLD_SIZE"] if torchrun() else 0)
    slurm_nodes = int(os.environ.get("SLURM_NNODES", nodes)) if tasks() else nodes
    if started and (wanted, nodes) != (started, slurm_nodes):
        who = f"srun has started {started} on {slurm_nodes} nodes" if tasks() else f"torchrun has started {started}"
        raise ConfigError(
            f"trainer.devices: {devices} with trainer.num_nodes={nodes} are {wanted} processes, and {who}; allowed is "
            f"trainer=ddp with the devices of one node and the number of nodes"
        )
    node = 0 if started else int(os.environ.get("NODE_RANK", 0))
    if node >= nodes:
        raise ConfigError(
            f"trainer.num_nodes: {nodes}; this is node {node} (NODE_RANK): allowed are {node + 1} and more"
        )
    config = HydraConfig.get()
    field = "hydra.sweep.dir" if config.mode == RunMode.MULTIRUN else "hydra.run.dir"
    by_hand = (nodes > 1 or torchrun()) and not tasks()
    if by_hand and not any(item.split("=")[0] == field for item in config.overrides.hydra):
        raise ConfigError(
            f"{field}: not given, and {wanted} processes are started by {nodes} commands or more; allowed is one "
            f"folder for all of them: {field}=PATH on a disk that they share"
        )
    missing = [name for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if by_hand and not torchrun() and missing:
        raise ConfigError(
            f"trainer.num_nodes: {nodes}, and the environment has no {missing[0]}; allowed is NODE_RANK (0 on the "
            f"first machine), MASTER_ADDR and MASTER_PORT (of the first one) on each"
        )
