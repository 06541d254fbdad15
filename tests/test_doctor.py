"""``mmdavpt doctor``: facts, problems and their fixes."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / 'tools'))
try:
    import doctor
finally:
    sys.path.remove(str(ROOT / 'tools'))


def problems(findings):
    return [problem for _, problem in findings if problem]


def test_versions_inside_and_outside_of_the_tested_ranges(monkeypatch):
    have = {'torch': '2.7.0', 'peft': '0.30', 'timm': '1.0.19'}

    def version(name):
        if name in have:
            return have[name]
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, 'version', version)
    found = [
        *doctor.find_versions(
            [
                'torch<3,>=2.6',
                'timm<1.1,>=1.0.20',
                'numpy>=2',
                'peft<0.22,>=0.21; extra == "peft"',
                'wandb; extra == "wandb"',
                'ruff; extra == "dev"',
            ]
        )
    ]
    assert [fact for fact, _ in found] == [
        'torch 2.7.0',
        'timm 1.0.19',
        'numpy: not installed',
        'peft (peft) 0.30',
        'wandb (wandb): not installed',
    ]
    assert problems(found) == [
        'timm 1.0.19 is outside of the tested range <1.1,>=1.0.20; run `pip '
        "install 'timm<1.1,>=1.0.20'`",
        "numpy is not installed; run `pip install 'numpy>=2'`",
        'peft 0.30 is outside of the tested range <0.22,>=0.21; run `pip '
        "install 'mmdavpt[peft]'`",
    ]


def test_a_library_that_cannot_be_imported(monkeypatch, tmp_path):
    (tmp_path / 'broken_one.py').write_text("raise OSError('no symbol')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctor, 'IMPORTED', ('json', 'broken_one'))
    ((fact, problem),) = doctor.find_broken_imports()
    assert fact == 'broken_one: not importable'
    assert problem.startswith('`import broken_one` fails with OSError: no sym')


def test_gpus_and_a_driver_without_them(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, 'DRIVER', tmp_path / 'version')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    assert problems(doctor.find_devices()) == []
    (tmp_path / 'version').touch()
    (problem,) = problems(doctor.find_devices())
    assert 'finds no GPU; install the PyTorch' in problem
    memory = {0: (50, 100), 1: (5, 100)}
    sizes = {k: tuple(n * doctor.GIB for n in v) for k, v in memory.items()}
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(torch.cuda, 'mem_get_info', sizes.get)
    monkeypatch.setattr(torch.cuda, 'get_device_name', 'GPU {}'.format)
    found = [*doctor.find_devices()]
    assert found[0] == ('GPU 0: GPU 0, 50.0 of 100.0 GiB free', '')
    assert 'GPU 1 is full; end the other' in found[1][1]


def test_memory_disk_and_shared_memory(monkeypatch, tmp_path):
    plenty = SimpleNamespace(free=100 * doctor.GIB)
    monkeypatch.setattr(doctor, 'SHARED_MEMORY', tmp_path)
    monkeypatch.setattr(doctor, 'free_memory', lambda: plenty.free)
    monkeypatch.setattr(doctor.shutil, 'disk_usage', lambda path: plenty)
    found = [*doctor.find_memory(str(tmp_path / 'not/yet'))]
    assert [fact.split(':')[1] for fact, _ in found] == [' 100.0 GiB free'] * 3
    assert not problems(found)
    plenty.free = doctor.GIB // 2
    found = problems(doctor.find_memory(str(tmp_path)))
    assert [sentence.split(';')[0] for sentence in found] == [
        'memory is short',
        f'the disk of {tmp_path} is almost full',
        'shared memory is short, and data loaders may crash',
    ]


def test_a_containers_limit_counts_as_free_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, 'CGROUP', tmp_path)
    machine = doctor.free_memory()
    (tmp_path / 'memory.max').write_text('max\n')
    assert doctor.free_memory() > machine / 2
    (tmp_path / 'memory.max').write_text('1000\n')
    (tmp_path / 'memory.current').write_text('400\n')
    assert doctor.free_memory() == 600


@pytest.mark.parametrize('threads, cores, wrong', [(4, 4, 0), (5, 4, 1)])
def test_more_threads_than_cores(monkeypatch, threads, cores, wrong):
    monkeypatch.setattr(torch, 'get_num_threads', lambda: threads)
    monkeypatch.setattr(
        doctor.os, 'sched_getaffinity', lambda pid: range(cores)
    )
    found = problems(doctor.find_threads())
    assert len(found) == wrong
    assert all('set OMP_NUM_THREADS=4' in sentence for sentence in found)


def test_a_config_with_missing_weights_and_data(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, 'find_memory', lambda folder: [('disk', '')])
    ade20k = 'mmdavpt::setr_davpt_ade20k.py'
    assert doctor.main([ade20k]) == 1
    *_, weights, data, last = capsys.readouterr().out.splitlines()
    assert 'problem: the config cannot be run: the pre-trained w' in weights
    assert data.startswith('problem: train_dataloader')
    assert last == 'problems: 2'
    assert doctor.main(['mmdavpt::glyphs/davpt_glyphs.py']) == 0
    assert capsys.readouterr().out.endswith(': checked\nno problems\n')
    assert doctor.main(['no.py']) == 1
    assert 'problem: the config' in capsys.readouterr().out


def test_a_package_that_is_not_installed(monkeypatch):
    def requires(name):
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, 'requires', requires)
    monkeypatch.setattr(doctor, 'IMPORTED', ())
    args = SimpleNamespace(config=None, work_dir='.')
    assert (
        'run `pip install -e .` in the clone'
        in problems(doctor.find_all(args))[0]
    )
