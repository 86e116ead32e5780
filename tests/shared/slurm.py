"""A real Slurm of two nodes on this machine, ended with the test; needs root and the system's packages."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

SEARCH = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
SlurmdTimeout=5
KillWait=30
MinJobAge=7200
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=8000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=8000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""


class Slurm:
    """Start on entering, end on leaving; `environment` is for commands that talk to it."""

    def __enter__(self):
        if shutil.which("slurmctld", path=SEARCH) is None or shutil.which("munged", path=SEARCH) is None:
            pytest.skip("Slurm is not installed: apt-get install slurm-wlm slurm-wlm-basic-plugins munge")
        if os.geteuid():
            pytest.skip("a Slurm of one's own needs root")
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)
        self.environment = {"SLURM_CONF": f"{self.folder}/slurm.conf"}
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        host = socket.gethostname().split(".")[0]
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(folder=self.folder, host=host, ports=free_ports(3))
        )
        files = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munged.pid", "seed-file": "munge.seed"}
        options = [f"--{option}={self.folder}/{name}" for option, name in files.items()]
        self.processes = {}
        try:
            self.start("munged", "--foreground", f"--log-file={self.folder}/munged.log", *options)
            self.wait_for(lambda: (self.folder / "munge.sock").exists(), 60)
            self.start("slurmctld", "-D")
            for node in ("n1", "n2"):
                self.start("slurmd", "-D", "-N", node, name=node)
            self.wait_for(lambda: self.ask("sinfo", "-h", "-o", "%T").split() == ["idle"], 60)
        except AssertionError as error:
            self.__exit__()
            pytest.skip(f"Slurm is installed but does not start here: {error}")
        return self

    def __exit__(self, *exception):
        self.ask("scancel", "--me", "--signal=KILL", "--full")
        for process in reversed(self.processes.values()):
            process.terminate()
            process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, program, *arguments, name=None):
        with open(self.folder / f"{name or program}.out", "wb") as log:
            self.processes[name or program] = subprocess.Popen(
                [shutil.which(program, path=SEARCH), *arguments],
                stdout=log, stderr=log, env=os.environ | self.environment, start_new_session=True,
            )  # fmt: skip

    def ask(self, *command):
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True)
        return done.stdout.strip()

    def lose(self, node):
        """End the daemon of a node as a crash would."""
        self.processes[node].send_signal(signal.SIGKILL)

    def jobs(self, form="%i %T"):
        return [line.split() for line in self.ask("squeue", "-h", "-o", form).splitlines()]

    def wait_for(self, condition, seconds=300):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text(errors="replace")[-500:] for path in self.folder.glob("*.out"))
                raise AssertionError(f"nothing of it in {seconds} s; {self.jobs()}\n{logs}")
            time.sleep(0.5)


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
