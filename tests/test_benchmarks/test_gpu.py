"""The GPU benchmark, on the CPU in tiny sizes."""

import json
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch
from mmpretrain.models import VisionTransformer

from benchmarks import gpu
from benchmarks.speed import peaks, timing, whole_runs
from benchmarks.speed.cases import Case, autocast
from benchmarks.speed.measuring import Row
from mmdavpt.cli import train
from mmdavpt.cli.messages import run_command

from .test_scripts import ARCH

ROOT = Path(__file__).parents[2]
SMALL = '--device cpu --size 32 --batch 2 --rounds 1 --warmup 0 --images 62 '
SMALL += '--epochs 2 --minutes 600 --backend eager'


@pytest.fixture(autouse=True)
def toy_architecture(monkeypatch):
    monkeypatch.setitem(VisionTransformer.arch_zoo, 'toy', ARCH)


@pytest.fixture
def run(tmp_path, capsys):
    """Return a function that runs the script: status, file, output."""

    def run(*more):
        out = tmp_path / 'gpu.json'
        argv = [*SMALL.split(), '--model', 'vit-toy', '--out', str(out), *more]
        status = gpu.main(argv)
        return status, json.loads(out.read_text()), capsys.readouterr().out

    return run


@pytest.fixture
def trainings(monkeypatch):
    """Run trainings in this process, and return their commands."""
    commands = []

    def execute(command, log, device):
        commands.append(command)
        argv = [*command[2:], f'experiment_name=run{len(commands)}']
        with log.open('w') as file, redirect_stdout(file):
            if command[0] == 'bash':
                print('NCCL version 2.27.3+cuda12.9')
                argv.remove('1')
            with redirect_stderr(file):
                run_command(train, argv)

    monkeypatch.setattr(whole_runs, 'execute', execute)
    yield commands
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False


def test_steps_and_compilation(run):
    sections = ['steps-bf16', 'compile-bf16', 'steps-fp16']
    status, content, text = run(
        *('--sections', *sections, '--peak-tflops', 'bf16=2'),
        *('--forms', 'concatenated', 'davpt'),
    )
    assert status == 0
    found = content['sections']
    assert [*found] == sections and content['machine']['torch']
    assert content['settings']['peak_tflops'] == {'bf16': 2}
    rows = found['steps-bf16']['rows']
    assert [row['run'] for row in rows] == [
        f'{form}, {phase}'
        for phase in ('training', 'inference')
        for form in ('concatenated', 'davpt')
    ]
    for row in rows:
        reached = row['flops'] / row['seconds'][0] / 1e12
        assert row['tflops'] == pytest.approx(reached)
        assert row['share_of_peak'] == pytest.approx(reached / 2)
        assert row['images_per_s'] == pytest.approx(2 / row['seconds'][0])
    row = found['compile-bf16']['rows'][1]
    assert row['run'] == 'davpt compiled, training'
    assert row['graphs'] > 0 and row['graph_breaks'] == 0
    assert row['loss_difference'] < 0.01 and row['eager_seconds']
    assert ' of the time of eager; compiled in' in row['result']
    assert found['steps-fp16']['state'] == 'skipped'
    assert text.count('| davpt, ') == 2
    assert text.splitlines()[-1].endswith('| skipped: needs a GPU |')


def test_trainings(run, trainings):
    status, content, text = run('--sections', 'resume', 'accuracy')
    found = content['sections']
    assert status == 0, text
    whole, stopped, resumed = trainings[:3]
    assert '--resume' not in whole and '--resume' in resumed
    assert 'train_cfg.max_epochs=2' in stopped
    ends = [f'param_scheduler.1.end={n}' for n in (4, 4, 4)]
    for command, end in zip(trainings, ends, strict=False):
        assert {end, 'randomness.deterministic=True'} <= {*command}
    [row] = found['resume']['rows']
    assert row['tensors'] > 70 and row['result'].startswith('equal bits: ')
    rows = found['accuracy']['rows']
    assert [r['run'] for r in rows] == ['linear', 'vpt', 'davpt', 'davpt amp']
    for row in rows:
        assert len(row['top1']) == len(row['seconds']) == 2
        assert 0 < row['seconds'][0] < row['seconds'][1]
        assert row['target'] == rows[0]['top1'][-1]
        reached = max(row['top1']) >= row['target']
        assert (row['seconds_to_target'] is not None) == reached
    assert '--amp' in trainings[-1] and '--amp' not in trainings[-2]


def test_a_run_that_does_not_resume_is_noticed(
    trainings, monkeypatch, tmp_path
):
    real, settings = whole_runs.train, ('cpu', 62, 4)
    with monkeypatch.context() as patched:
        patched.setattr(whole_runs, 'train', lambda *args, **kwargs: '')
        with pytest.raises(RuntimeError, match='did not use the checkpoint'):
            whole_runs.check_resume(tmp_path, *settings)

    def seeded(work_dir, *args, **kwargs):
        seed = f'randomness.seed={work_dir.name == "whole"}'
        return real(work_dir, *args, seed.replace('True', '1'), **kwargs)

    monkeypatch.setattr(whole_runs, 'train', seeded)
    with pytest.raises(RuntimeError, match=r'values differ .*state_dict'):
        whole_runs.check_resume(tmp_path, *settings)
    row = whole_runs.check_distributed(tmp_path, 'cuda', 62, 4)
    assert trainings[-1][:2] == ['bash', str(ROOT / 'tools/dist_train.sh')]
    assert row['nccl'] == '2.27.3+cuda12.9' and not row['equal']
    assert row['result'].endswith(
        '2.27.3+cuda12.9; other bits than one process'
    )


def fail(args, folder):
    yield dict(run='first', tflops=1.25)
    raise ValueError('no such\nkernel')


def succeed(args, folder):
    yield dict(run='second', share_of_peak=0.5)


def test_a_failure_is_recorded_and_stops_no_other_section(run, monkeypatch):
    sections = dict(
        bad=gpu.Section(1, fail),
        good=gpu.Section(1, succeed),
        long=gpu.Section(1e9, succeed),
    )
    monkeypatch.setattr(gpu, 'SECTIONS', sections)
    status, content, text = run()
    found = content['sections']
    assert status == 1
    states = {name: section['state'] for name, section in found.items()}
    assert states == dict(bad='failed', good='done', long='skipped')
    assert found['bad']['rows'] == [dict(run='first', tflops=1.25)]
    assert found['bad']['message'] == 'ValueError: no such\nkernel'
    assert 'in fail' in found['bad']['traceback']
    assert '| bad |  |  |  |  |  |  |  | failed: ValueError: no such k' in text
    assert '| good | second |  |  |  | 50% |  |  |  |' in text
    assert 'needs 1000000000 s, but' in found['long']['message']
    status, content, _ = run('--minutes', '0', '--sections', 'bad')
    assert status == 0 and content['sections']['bad']['state'] == 'skipped'


def test_a_section_ends_when_the_time_is_over():
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimeoutError), gpu.time_limit(0.01):
        while True:
            signal.pause()
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_command_that_fails(tmp_path):
    log = tmp_path / 'a.log'
    code = 'import os; print(os.environ["CUBLAS_WORKSPACE_CONFIG"]); 1 / 0'
    with pytest.raises(RuntimeError, match='code 1: ZeroDivisionError'):
        whole_runs.execute([sys.executable, '-c', code], log, 'cpu')
    assert log.read_text().startswith(':4096:8\n')


@pytest.mark.parametrize(
    'name, bf16',
    [
        ('NVIDIA H200', 989.5),
        ('NVIDIA H200 NVL', 835.5),
        ('NVIDIA H100 80GB HBM3', 989.5),
        ('NVIDIA H100 PCIe', 756.5),
        ('NVIDIA A100-SXM4-80GB', 312),
        ('NVIDIA L4', 121),
        ('NVIDIA L40S', None),
        ('NVIDIA GH200 480GB', None),
        ('', None),
    ],
)
def test_peaks(name, bf16):
    assert peaks.peaks_of(name).get('bf16') == bf16


def test_rates_by_hand():
    """8 TFLOP in 2 s: 4 TFLOP/s, half of a peak of 8, a tenth of a matmul."""
    case = Case('vit-b', batch=10, precision='bf16')
    seconds, mib = [1.0, 2.0, 9.0], 2**20
    row = Row(case, 'vpt', 'training', 8 * 10**12, 0, 3 * mib, seconds, 4e13)
    expected = dict(
        ms_per_image=200,
        images_per_s=5,
        tflops=4,
        share_of_peak=0.5,
        share_of_matmul=0.1,
        peak_mib=3,
    )
    assert peaks.rates(row, {'bf16': 8}) == pytest.approx(expected)
    assert peaks.rates(row, {'fp32': 8})['share_of_peak'] is None


def test_seconds_until():
    curve = dict(top1=[10, 30, 20, 40], seconds=[1, 2, 3, 4])
    assert whole_runs.seconds_until(curve, 30) == 2
    assert whole_runs.seconds_until(curve, 35) == 4
    assert whole_runs.seconds_until(curve, 41) is None


def test_precisions():
    for precision, dtype in timing.PRECISIONS.items():
        with autocast(precision, 'cpu'), timing.float32_products(precision):
            enabled = torch.is_autocast_enabled('cpu')
            assert enabled == (precision in ('bf16', 'fp16'))
            assert not enabled or torch.get_autocast_dtype('cpu') == dtype
            high = torch.get_float32_matmul_precision() == 'high'
            assert high == (precision == 'tf32')
        assert torch.get_float32_matmul_precision() == 'highest'


@pytest.mark.slow
def test_the_command(tmp_path):
    """All sections, with trainings in processes of their own."""
    out = tmp_path / 'gpu.json'
    command = [sys.executable, str(ROOT / 'benchmarks/gpu.py')]
    command += [*SMALL.split(), '--model', 'vit-deit-t', '--out', str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())['sections']
    gpu_only = {n for n, s in gpu.SECTIONS.items() if s.gpu_only}
    states = {name: section['state'] for name, section in found.items()}
    assert states == {
        name: 'skipped' if name in gpu_only else 'done'
        for name in gpu.SECTIONS
    }
    assert found['nccl']['rows'][0]['equal']
