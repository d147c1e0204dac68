"""Processes and mounts of its own: nobody else is looked at by what asks /proc for everybody (which takes a traced command
longer than all it does itself, on a busy machine), and nothing is left whatever happens."""
import os
import signal
import sys

MARK = "STRONGROOM_MATRIX_APART"


def enter():
    """Returns in namespaces of its own, in a process whose orphans are taken care of."""
    if os.environ.get(MARK) is None:
        os.environ[MARK] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, *sys.argv])
    if os.getpid() == 1:
        worker = os.fork()
        if worker:
            sys.exit(care_for(worker))


def care_for(worker):
    """Waits for everybody, as the first process has to, until the worker has ended; its exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(worker, number))
    while True:
        pid, status = os.wait()
        if pid == worker:
            return os.waitstatus_to_exitcode(status) & 0xFF
