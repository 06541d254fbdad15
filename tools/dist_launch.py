"""Start the processes of a distributed run, and report which failed first.

dist_train.sh and dist_test.sh pass torchrun's arguments. NNODES, NODE_RANK,
MASTER_ADDR and PORT in the environment say where the processes meet.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import (
    ChildFailedError,
    ProcessFailure,
)

#: Signals on which a training saves and ends: those of Slurm, before
#: preemption or the time limit, and Ctrl-C.
FORWARDED = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
#: Seconds that the processes have for that. TORCH_ELASTIC_SHUTDOWN_TIMEOUT
#: overrides it; it also limits how long a process may run after another one
#: failed.
SHUTDOWN_SECONDS = 60
#: Within this time a repeated signal counts as the first: a batch system may
#: send it to every process, and the launcher forwards it.
SAME_SIGNAL_SECONDS = 3.0
#: In the error of a process that waited too long for another one.
TIMED_OUT = 'Timed out'
#: In the errors of processes that lost another one.
LOST_PEER = ('Connection', 'closed by', 'Broken pipe', 'rank 0 ended')


class SignalForwarder:
    """Forward signals to the processes, and wait until they end themselves.

    By default torchrun stops waiting and reports an error although all
    processes saved and ended well. A second signal, or a timeout, leaves it
    to torchrun to end them.
    """

    def __init__(self) -> None:
        self.timeout = int(os.environ['TORCH_ELASTIC_SHUTDOWN_TIMEOUT'])
        self.first = None

    def install(self) -> None:
        """Handle the signals from now on."""
        for number in FORWARDED:
            signal.signal(number, self.forward)
        signal.signal(signal.SIGALRM, self.give_up)

    def forward(self, number: int, frame: object) -> None:
        """Forward a signal."""
        now = time.monotonic()
        if self.first is not None:
            if now - self.first > SAME_SIGNAL_SECONDS:
                self.give_up(number, frame)
            return
        self.first = now
        pids = child_processes()
        if not pids:
            self.give_up(number, frame)
        for pid in pids:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, number)
        signal.alarm(self.timeout)

    def give_up(self, number: int, frame: object) -> None:
        """Let torchrun end the processes."""
        signal.alarm(0)  # torchrun has its own timeout
        raise SignalException(
            f'the processes did not end within {self.timeout} s'
            if number == signal.SIGALRM
            else f'{signal.Signals(number).name} ends the processes at once',
            signal.SIGTERM,
        )


def child_processes() -> list[int]:
    """Return the processes that this one started."""
    own = os.getpid()
    listed = Path(f'/proc/{own}/task/{own}/children')
    return (
        [int(x) for x in listed.read_text().split()] if listed.exists() else []
    )


def first_failure(error: ChildFailedError) -> tuple[int, ProcessFailure]:
    """Return the rank whose failure caused the others, and the failure.

    The others fail because they lose that rank, often within the same second.
    So a rank that a signal ended comes before ranks that lost a peer. A rank
    that waited in vain comes first of all: torchrun then ended the rank that
    it waited for.

    Args:
        error (ChildFailedError): torchrun's error.
    """

    def order(item: tuple[int, ProcessFailure]) -> tuple:
        failure, text = item[1], error_text(item[1])
        return (
            TIMED_OUT not in text,
            failure.exitcode == -signal.SIGTERM,  # sent by torchrun
            failure.exitcode >= 0,
            any(word in text for word in LOST_PEER),
            failure.timestamp,
        )

    return min(error.failures.items(), key=order)


def error_text(failure: ProcessFailure) -> str:
    """Return the error that a process recorded, or ''."""
    recorded = failure.message
    if not isinstance(recorded, dict):
        return ''
    return str(recorded.get('message', ''))


def describe(error: ChildFailedError) -> str:
    """Return which process failed, and what to do, as one sentence.

    Args:
        error (ChildFailedError): torchrun's error.
    """
    rank, failure = first_failure(error)
    text = error_text(failure)
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        what = f'was ended by {name}'
        if name == 'SIGKILL':
            what += ' (is the machine out of memory?)'
    elif TIMED_OUT in text:
        what = (
            f'waited in vain for another process ({text}), which hangs or '
            'needs longer than env_cfg.dist_cfg.timeout'
        )
    elif text:
        what = f'failed with {text}'
    else:
        what = f'ended with exit code {failure.exitcode}, see above'
    sentence = (
        f'rank {rank} (process {failure.pid}) {what}; the other processes '
        'were ended too'
    )
    if '--resume' not in text:
        sentence += '. --resume resumes a training from its last checkpoint'
    return sentence


def rendezvous_arguments(environment: Mapping[str, str]) -> list[str]:
    """Return torchrun's arguments for where the processes meet.

    A single machine without a given port takes any free one, so that several
    runs can share it.

    Args:
        environment (Mapping[str, str]): May have NNODES, NODE_RANK,
            MASTER_ADDR, and PORT or MASTER_PORT.
    """
    nodes = environment.get('NNODES') or '1'
    port = environment.get('PORT') or environment.get('MASTER_PORT')
    if nodes == '1' and not port:
        return ['--standalone']
    return [
        f'--nnodes={nodes}',
        f'--node_rank={environment.get("NODE_RANK") or 0}',
        f'--master_addr={environment.get("MASTER_ADDR") or "127.0.0.1"}',
        f'--master_port={port or 29500}',
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the processes as the command line says.

    Args:
        argv (Sequence[str], optional): torchrun's arguments, except where the
            processes meet. Defaults to those of this process.
    """
    timeout = str(SHUTDOWN_SECONDS)
    os.environ.setdefault('TORCH_ELASTIC_SHUTDOWN_TIMEOUT', timeout)
    given = sys.argv[1:] if argv is None else argv
    args = run.parse_args([*rendezvous_arguments(os.environ), *given])
    if hasattr(args, 'signals_to_handle'):  # older PyTorch lacks it
        SignalForwarder().install()
        args.signals_to_handle = 'SIGHUP,SIGQUIT'
    try:
        run.run(args)
    except ChildFailedError as error:
        sys.stderr.write(f'dist_launch.py: error: {describe(error)}\n')
        code = first_failure(error)[1].exitcode
        raise SystemExit(code if code > 0 else 128 - code) from None
    except SignalException as error:
        sys.stderr.write(f'dist_launch.py: error: {error}\n')
        raise SystemExit(128 + error.sigval) from None


if __name__ == '__main__':
    main()
