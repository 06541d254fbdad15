"""``dist_launch.py``: signals, failures, several machines."""

import os
import re
import signal
import socket
import sys
import time
from types import SimpleNamespace

import pytest
from torch.distributed.elastic.multiprocessing.api import SignalException

from tools import dist_launch

SCRIPT = """
import json, os, signal, sys, time
rank, kind = int(os.environ['RANK']), sys.argv[1]
folder = sys.argv[2]
def mark(name):
    open(os.path.join(folder, f'{name}_{rank}'), 'w').close()
def saved(number, frame):
    mark(signal.Signals(number).name)
    raise SystemExit(3 if kind == 'fails_to_save' and rank == 1 else 0)
if kind != 'ignores':
    signal.signal(signal.SIGUSR1, saved)
    signal.signal(signal.SIGINT, saved)
if kind != 'dies':
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN if kind == 'ignores' else saved)
mark('started')
if kind == 'ranks':
    names = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')
    mark('_'.join(os.environ[name] for name in names))
    raise SystemExit
while not os.path.exists(os.path.join(folder, f'started_{1 - rank}')):
    time.sleep(0.01)
if rank == 1 and kind == 'dies':
    os.kill(os.getpid(), signal.SIGKILL)
if rank == 1 and kind == 'exits':
    sys.exit(2)
ERRORS = {'raises': {1: 'ValueError: a bad label'},
          'times_out': {0: 'RuntimeError: Timed out waiting 5000ms'}}
if rank in ERRORS.get(kind, ()):
    # What torch's `record` does, without the time to import it.
    message = {'message': ERRORS[kind][rank],
               'extraInfo': {'timestamp': str(int(time.time()))}}
    with open(os.environ['TORCHELASTIC_ERROR_FILE'], 'w') as file:
        json.dump({'message': message}, file)
    sys.exit(1)
time.sleep(60)
"""


@pytest.fixture
def start(tmp_path):
    """Return a function that starts processes; and their folder."""
    (tmp_path / 'script.py').write_text(SCRIPT)
    started = []

    def run(kind, timeout=20, **variables):
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                os.environ.update(
                    variables, TORCH_ELASTIC_SHUTDOWN_TIMEOUT=str(timeout)
                )
                log = open(tmp_path / 'stderr', 'a')  # noqa: SIM115
                os.dup2(log.fileno(), 2)
                os.dup2(log.fileno(), 1)
                sys.stderr = log
                dist_launch.main(
                    [
                        '--nproc_per_node=2',
                        str(tmp_path / 'script.py'),
                        kind,
                        str(tmp_path),
                    ]
                )
                code = 0
            except SystemExit as error:
                code = error.code
            finally:
                sys.stderr.flush()
                os._exit(code)
        started.append(pid)
        return pid

    yield run
    for pid in started:
        if os.path.exists(f'/proc/{pid}'):
            os.kill(pid, signal.SIGKILL)


def code_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_for(*paths):
    for _ in range(600):
        if all(path.exists() for path in paths):
            return
        time.sleep(0.05)
    raise TimeoutError(paths)


@pytest.mark.parametrize(
    'kind, code, expected',
    [
        ('dies', 137, r'rank 1 \(process \d+\) was ended by SIGKILL \(is'),
        ('exits', 2, r'rank 1 \(process \d+\) ended with exit code 2, see'),
        ('times_out', 1, r'rank 0 \(process \d+\) waited in vain for'),
        ('raises', 1, r'rank 1 \(process \d+\) failed with ValueError: a bad'),
    ],
)
def test_the_rank_that_failed_first_is_named(
    start, tmp_path, kind, code, expected
):
    assert code_of(start(kind)) == code
    text = (tmp_path / 'stderr').read_text()
    assert re.search(expected, text)
    assert 'Traceback' not in text.split('dist_launch.py: error:')[1]
    # The other rank is told to end.
    assert kind != 'exits' or (tmp_path / 'SIGTERM_0').exists()


@pytest.mark.parametrize(
    'first, second, rank',
    [
        # Exit code and error, in the order of time.
        ((1, 'ValueError: bad'), (1, 'KeyError: odd'), 0),
        # torchrun sends SIGTERM to the others.
        ((-signal.SIGTERM, ''), (1, 'ValueError: bad'), 1),
        ((-signal.SIGTERM, ''), (-signal.SIGKILL, ''), 1),
        ((-signal.SIGTERM, ''), (1, 'RuntimeError: Connection closed'), 1),
        # Another signal is a cause, whatever the others report.
        ((1, 'OSError: odd'), (-signal.SIGKILL, ''), 1),
        # A lost peer is not.
        ((1, 'RuntimeError: Connection closed'), (-signal.SIGSEGV, ''), 1),
        ((1, 'RuntimeError: Broken pipe'), (1, 'KeyError: odd'), 1),
        ((1, 'RuntimeError: rank 0 ended with X'), (1, 'X: odd'), 1),
        ((-signal.SIGKILL, ''), (1, 'RuntimeError: Timed out waiting'), 1),
    ],
)
def test_first_failure(first, second, rank):
    failures = {
        i: SimpleNamespace(
            exitcode=code, message={'message': text}, timestamp=i, pid=i
        )
        for i, (code, text) in enumerate((first, second))
    }
    error = SimpleNamespace(failures=failures)
    assert dist_launch.first_failure(error)[0] == rank


@pytest.mark.parametrize(
    'code, text, expected, absent',
    [
        (-signal.SIGKILL, '', r'SIGKILL \(is the machine out of memory', ''),
        (-signal.SIGSEGV, '', 'was ended by SIGSEGV; the other', 'memory'),
        (1, 'bad', 'failed with bad; the .* --resume .* last checkpoint', ''),
        (
            1,
            'continue with --resume',
            '--resume; the other',
            'last checkpoint',
        ),
        (2, '', 'ended with exit code 2, see above; the other', 'memory'),
    ],
)
def test_describe(code, text, expected, absent):
    failure = SimpleNamespace(
        exitcode=code, message={'message': text}, timestamp=0, pid=7
    )
    text = dist_launch.describe(SimpleNamespace(failures={3: failure}))
    assert re.search(expected, text) and text.startswith('rank 3 (process 7) ')
    assert not absent or absent not in text


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1', 'SIGINT'])
def test_signals_are_forwarded_once(start, tmp_path, name):
    pid = start('waits')
    wait_for(tmp_path / 'started_0', tmp_path / 'started_1')
    # A batch system may send it to every process.
    for _ in range(2):
        os.kill(pid, getattr(signal, name))
        time.sleep(0.01)
    assert code_of(pid) == 0
    assert (tmp_path / f'{name}_0').exists()
    assert (tmp_path / f'{name}_1').exists()


def test_a_process_that_fails_after_a_signal(start, tmp_path):
    pid = start('fails_to_save')
    wait_for(tmp_path / 'started_0', tmp_path / 'started_1')
    os.kill(pid, signal.SIGTERM)
    assert code_of(pid) == 3
    assert 'rank 1 (process' in (tmp_path / 'stderr').read_text()


def test_processes_that_ignore_a_signal_are_ended(start, tmp_path):
    pid = start('ignores', timeout=1)
    wait_for(tmp_path / 'started_0', tmp_path / 'started_1')
    os.kill(pid, signal.SIGTERM)
    assert code_of(pid) == 128 + signal.SIGTERM
    assert 'did not end within 1 s' in (tmp_path / 'stderr').read_text()


def test_a_second_signal_ends_the_processes(start, tmp_path, monkeypatch):
    monkeypatch.setattr(dist_launch, 'SAME_SIGNAL_SECONDS', -1.0)
    pid = start('ignores', timeout=1)
    wait_for(tmp_path / 'started_0', tmp_path / 'started_1')
    for _ in range(2):
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.3)
    assert code_of(pid) == 128 + signal.SIGTERM
    assert 'SIGTERM ends the proc' in (tmp_path / 'stderr').read_text()


def test_a_signal_without_processes(monkeypatch):
    monkeypatch.setenv('TORCH_ELASTIC_SHUTDOWN_TIMEOUT', '60')
    child = os.fork()
    if not child:
        os._exit(0)
    code_of(child)
    monkeypatch.setattr(dist_launch, 'child_processes', lambda: [child])
    try:
        # It has just ended, so torchrun will end too.
        dist_launch.SignalForwarder().forward(signal.SIGTERM, None)
    finally:
        signal.alarm(0)
    monkeypatch.setattr(dist_launch, 'child_processes', lambda: [])
    with pytest.raises(SignalException, match='SIGTERM ends the processes'):
        dist_launch.SignalForwarder().forward(signal.SIGTERM, None)


def test_rendezvous_arguments():
    assert dist_launch.rendezvous_arguments({'PORT': '', 'NNODES': ''}) == [
        '--standalone'
    ]
    for name in ('PORT', 'MASTER_PORT'):
        assert dist_launch.rendezvous_arguments({name: '7'}) == [
            '--nnodes=1',
            '--node_rank=0',
            '--master_addr=127.0.0.1',
            '--master_port=7',
        ]
    several = dict(NNODES='3', NODE_RANK='1', MASTER_ADDR='host')
    assert dist_launch.rendezvous_arguments(several) == [
        '--nnodes=3',
        '--node_rank=1',
        '--master_addr=host',
        '--master_port=29500',
    ]


def test_two_machines(start, tmp_path):
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        port = found.getsockname()[1]
    pids = [
        start(
            'ranks',
            NNODES='2',
            NODE_RANK=str(node),
            MASTER_ADDR='127.0.0.1',
            PORT=str(port),
        )
        for node in range(2)
    ]
    assert [code_of(pid) for pid in pids] == [0, 0]
    for rank in range(4):
        assert (tmp_path / f'{rank}_4_{rank % 2}_{rank}').exists()
