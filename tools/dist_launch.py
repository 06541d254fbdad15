"""Start the processes of a distributed run, and say which one failed first.

dist_train.sh and dist_test.sh call it with arguments of torchrun. Where the
processes meet is said by the variables of the environment that they name.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import (
    ChildFailedError,
    ProcessFailure,
)

#: What tells a training to save and end: of Slurm, before a machine is taken
#: away, and before the time of the job is over; and Ctrl-C.
FORWARDED = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
#: Seconds that the processes have for that. TORCH_ELASTIC_SHUTDOWN_TIMEOUT
#: sets them, and what a process has to end after another one failed.
PATIENCE = 60
#: A signal that a batch system sends to every process comes here and there.
SAME_SIGNAL_SECONDS = 3.0
#: What the error of a process says that waited too long for another one.
WAITED = 'Timed out'
#: What it says if the other one is gone.
ECHOES = (
    'Connection',
    'closed by',
    'Broken pipe',
    'rank 0 ended',
)


class Forwarder:
    """Hands signals on to the processes, and lets them end by themselves.

    torchrun would stop waiting and report an error although all of them saved
    and ended well. A second signal, or one that is not obeyed in time, is
    left to torchrun.
    """

    def __init__(self) -> None:
        self.patience = int(os.environ['TORCH_ELASTIC_SHUTDOWN_TIMEOUT'])
        self.first = None

    def install(self) -> None:
        """Handle the signals from now on."""
        for number in FORWARDED:
            signal.signal(number, self.forward)
        signal.signal(signal.SIGALRM, self.give_up)

    def forward(self, number: int, frame: object) -> None:
        """Hand a signal on."""
        now = time.monotonic()
        if self.first is not None:
            if now - self.first > SAME_SIGNAL_SECONDS:
                self.give_up(number, frame)
            return
        self.first = now
        pids = children()
        if not pids:
            self.give_up(number, frame)
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:  # it ended just now
                continue
        signal.alarm(self.patience)

    def give_up(self, number: int, frame: object) -> None:
        """Let torchrun end the processes."""
        signal.alarm(0)  # it has a patience of its own
        raise SignalException(
            f'the processes did not end within {self.patience} s'
            if number == signal.SIGALRM
            else f'{signal.Signals(number).name} ends the processes at once',
            signal.SIGTERM,
        )


def children() -> list[int]:
    """Return the processes that this one started."""
    own = os.getpid()
    listed = Path(f'/proc/{own}/task/{own}/children')
    return (
        [int(pid) for pid in listed.read_text().split()]
        if listed.exists()
        else []
    )


def first_failure(error: ChildFailedError) -> tuple[int, ProcessFailure]:
    """Return the rank that failed first, and how.

    The others fail because it is gone, often within the same second. So one
    that a signal ended counts before one that another's absence ended. But if
    one waited in vain, torchrun ended the one that it waited for.

    Args:
        error (ChildFailedError): Of torchrun.
    """

    def order(item: tuple[int, ProcessFailure]) -> tuple:
        _, failure = item
        told_to = failure.exitcode == -signal.SIGTERM
        killed = failure.exitcode < 0
        echo = any(word in text_of(failure) for word in ECHOES)
        waited = WAITED in text_of(failure)
        return not waited, told_to, not killed, echo, failure.timestamp

    return min(error.failures.items(), key=order)


def text_of(failure: ProcessFailure) -> str:
    """Return the error that a process recorded, or nothing."""
    message = failure.message
    if not isinstance(message, dict):
        return ''
    return str(message.get('message', ''))


def describe(error: ChildFailedError) -> str:
    """Return which process failed, and what to do, as a sentence.

    Args:
        error (ChildFailedError): Of torchrun.
    """
    rank, failure = first_failure(error)
    who = f'rank {rank} (process {failure.pid})'
    said = text_of(failure)
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        what = f'was ended by {name}'
        if name == 'SIGKILL':
            what += ', as a machine does that runs out of memory'
    elif WAITED in said:
        what = (
            f'waited in vain for another one ({said}), which hangs or needs '
            'longer than env_cfg.dist_cfg.timeout allows'
        )
    elif said:
        what = f'failed with {said}'
    else:
        what = f'ended with exit code {failure.exitcode}, as said above'
    advice = '. A training goes on from its last checkpoint with --resume'
    return f'{who} {what}; the other processes were ended too' + (
        '' if '--resume' in said else advice
    )


def meeting(environment: Mapping[str, str]) -> list[str]:
    """Return the arguments of torchrun that say where the processes meet.

    A single machine takes any free port, so that several runs share it, if
    none is named.

    Args:
        environment (Mapping[str, str]): With NNODES, NODE_RANK, MASTER_ADDR
            and PORT or MASTER_PORT, or without.
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
        argv (Sequence[str], optional): Arguments of torchrun, but for where
            the processes meet, which the environment says.
    """
    os.environ.setdefault('TORCH_ELASTIC_SHUTDOWN_TIMEOUT', str(PATIENCE))
    given = sys.argv[1:] if argv is None else argv
    args = run.parse_args([*meeting(os.environ), *given])
    if hasattr(args, 'signals_to_handle'):
        # Older ones handle all themselves and know no other way.
        Forwarder().install()
        args.signals_to_handle = 'SIGHUP,SIGQUIT'
    try:
        run.run(args)
    except ChildFailedError as error:
        sys.stderr.write(f'dist_launch.py: error: {describe(error)}\n')
        exitcode = first_failure(error)[1].exitcode
        raise SystemExit(
            exitcode if exitcode > 0 else 128 - exitcode
        ) from None
    except SignalException as error:
        sys.stderr.write(f'dist_launch.py: error: {error}\n')
        raise SystemExit(128 + error.sigval) from None


if __name__ == '__main__':
    main()
