"""The page of results is what the committed runs give."""

import json
import re

import pytest

from benchmarks import results
from mmdavpt.errors import UsageError

TABLE = """row,base,compare,method,lr
"vpt, 5 images",birds.py,,vpt,1e-2
"lora, 5 images",birds.py,,lora,1e-3
"vpt, 10 images",birds.py,,vpt,1e-2
"lora, 10 images",birds.py,,lora,1e-3
"lora, 10 images, wide",birds.py,"vpt, 10 images",lora,1e-3
"""
#: Row to the scores of seeds 0, 1, ...
SCORES = {
    'vpt, 5 images': [50.0, 52.0],
    'lora, 5 images': [51.0, 55.0],
    'vpt, 10 images': [60.0],
    'lora, 10 images': [61.5],
}
TOP1 = 'accuracy/top1'


def run_of(row, score, seed=0, **changes):
    """Return the content of a ``run.json``."""
    lr = 0.01 if row.startswith('vpt') else 0.001
    own = dict(method=row.split(', ')[0].split()[0], lr=lr) | changes
    settings = dict(row=row, base='birds.py', changes=own, seed=seed)
    return dict(
        settings=settings,
        num_trainable_params=1000,
        num_train_images=125 if ' 5 ' in row else 250,
        metrics={TOP1: score},
    )


@pytest.fixture
def root(tmp_path):
    """Return a repository with a table and its committed runs."""
    folder = tmp_path / 'benchmarks/arena'
    (folder / 'results/birds').mkdir(parents=True)
    (folder / 'birds.csv').write_text(TABLE)
    (tmp_path / 'docs/images').mkdir(parents=True)
    for row, scores in SCORES.items():
        for seed, score in enumerate(scores):
            write(tmp_path, run_of(row, score, seed))
    return tmp_path


def write(root, run, name=None):
    settings = run['settings']
    name = name or f'{settings["row"]}_seed_{settings["seed"]}.json'
    file = root / 'benchmarks/arena/results/birds' / name
    file.write_text(json.dumps(run))


def text_of(root, place):
    """Return the lines that a place gets."""
    page = results.fill(f'a\n<!-- {place} -->\nold\n<!-- end -->\nb', root)
    head, tail = f'a\n<!-- {place} -->\n\n', '\n\n<!-- end -->\nb'
    assert page.startswith(head) and page.endswith(tail)
    return page[len(head) : -len(tail)].splitlines()


def test_committed_page_is_up_to_date(capsys):
    assert results.main(['--check']) == 0, capsys.readouterr().out


def test_committed_runs_have_all_fields():
    fields = {'metrics', 'train_time', 'accelerator_memory_max', 'file_size'}
    fields |= {'num_trainable_params', 'config', 'commit', 'protocol'}
    fields |= {'backbone_fingerprint', 'normalization', 'settings'}
    for file in results.ROOT.glob('benchmarks/*/results/*/*.json'):
        run = json.loads(file.read_text(encoding='utf-8'))
        # The searches were run before these fields were added.
        is_search = file.parent.name.endswith('_search')
        later = set() if is_search else {'num_train_images', 'tuned'}
        assert not (fields | later) - run.keys(), file
        assert '"/' not in file.read_text(encoding='utf-8'), file


def test_main_table_by_hand(root):
    # Differences 1 and 3: mean 2, interval 2 ± 12.7.
    assert text_of(root, 'main: arena/birds *, 5 images') == [
        f'| row | seeds | {TOP1} | compared with | difference '
        '| 95 % interval | t | parameters |',
        '| --- | --- | --- | --- | --- | --- | --- | --- |',
        '| vpt, 5 images | 2 | 51.0 ± 1.4 |  |  |  |  | 1,000 |',
        '| lora, 5 images | 2 | 53.0 ± 2.8 | vpt, 5 images | +2.0 ± 1.4 '
        '| [-10.7, +14.7] | 2.0 | 1,000 |',
    ]
    assert len(text_of(root, 'main: arena/birds')) == 2 + 4


def test_pivot_by_hand(root):
    assert text_of(root, 'pivot: arena/birds') == [
        f'| {TOP1} | 5 images | 10 images |',
        '| --- | --- | --- |',
        '| vpt | 51.0 ± 1.4 | 60.0 |',
        '| lora | 53.0 ± 2.8 [-10.7, +14.7] | 61.5 |',
    ]
    (
        root / 'benchmarks/arena/results/birds/lora, 5 images_seed_1.json'
    ).unlink()
    lora = text_of(root, 'pivot: arena/birds')[3]
    assert lora == '| lora | 51.0 (1 of 2 seeds) | 61.5 |'
    write(root, run_of('lora, 5 images', 55.0, 1))
    # The row to compare with need not be shown.
    assert text_of(root, 'pivot: arena/birds lora, 5 images') == [
        f'| {TOP1} | 5 images |',
        '| --- | --- |',
        '| lora | 53.0 ± 2.8 [-10.7, +14.7] |',
    ]


def test_compare_names_the_row_of_the_table(root):
    write(root, run_of('lora, 10 images, wide', 63.0))
    found = results.read_results(root, 'arena/birds').compare
    assert found == {
        'vpt, 5 images': '',
        'lora, 5 images': 'vpt, 5 images',
        'vpt, 10 images': '',
        'lora, 10 images': 'vpt, 10 images',
        'lora, 10 images, wide': 'vpt, 10 images',
    }


def test_a_place_can_name_the_row_to_compare_with(root):
    place = 'difference: arena/birds vpt, 5 images - lora, 5 images'
    assert text_of(root, place) == ['-2.0 ± 1.4 [-14.7, +10.7]']
    with pytest.raises(KeyError, match='lora, 7'):
        text_of(root, 'difference: arena/birds vpt, 5 images - lora, 7')


def test_differences_within_a_line(root):
    page = (
        '| <!-- difference: arena/birds lora, 5 images -->?<!-- end --> '
        '| <!-- difference: arena/birds lora, 10 images -->?<!-- end --> '
        '| <!-- difference: arena/cars lora -->?<!-- end --> |'
    )
    new = results.fill(page, root)
    cells = [
        cell.split('-->')[1].split('<!--')[0] for cell in new.split('|')[1:4]
    ]
    first, second = '+2.0 ± 1.4 [-10.7, +14.7]', '+1.5'
    assert cells == [first, second, 'Not measured yet.']
    assert results.fill(new, root) == new


def test_best_setting_of_each_method_is_bold(root):
    (root / 'benchmarks/arena/birds.csv').write_text(
        'row,base,method,lr\n'
        'vpt lr 1e-2,birds.py,vpt,0.01\nvpt lr 1e-3,birds.py,vpt,0.001\n'
        'full lr 1e-2,birds.py,full,0.01\nfull lr 1e-3,birds.py,full,0.001\n'
        'full lr 1,birds.py,full,1\n'
    )
    for file in (root / 'benchmarks/arena/results/birds').iterdir():
        file.unlink()
    for row, lr, *scores in (
        ('vpt lr 1e-2', 0.01, 70.0, 73.0),
        ('vpt lr 1e-3', 0.001, 72.0),
        ('full lr 1e-2', 0.01, 30.0),
        ('full lr 1e-3', 0.001, 30.0),
        ('full lr 1', 1, 4.0),
    ):
        for seed, score in enumerate(scores):
            write(root, run_of(row, score, seed, lr=lr))
    assert text_of(root, 'search: arena/birds')[2:] == [
        '| vpt | **lr 1e-2: 71.5**; lr 1e-3: 72.0 (1 of 2 seeds) |',
        '| full | **lr 1e-2: 30.0** (1 of 2 seeds); **lr 1e-3: 30.0** '
        '(1 of 2 seeds); lr 1: 4.0 (1 of 2 seeds) |',
    ]


def test_picture_is_drawn_unless_checked(root):
    picture = root / 'docs/images/arena_birds.png'
    page = '<!-- plot: arena/birds -->\n<!-- end -->'
    link = '![arena/birds: 6 runs](images/arena_birds.png)'
    assert link in results.fill(page, root, draw=False)
    assert not picture.exists()
    assert link in results.fill(page, root)
    assert picture.read_bytes().startswith(b'\x89PNG')


def test_pictures_of_some_rows_have_their_own_files(root):
    rows = 'arena/birds *, 10 images'
    page = f'<!-- plot: {rows} -->\n<!-- end -->\n'
    page += '<!-- plot: arena/birds -->\n<!-- end -->'
    text = results.fill(page, root)
    names = re.findall(r'\((images/.*)\)', text)
    assert names == [
        'images/arena_birds_10_images.png',
        'images/arena_birds.png',
    ]
    pictures = [(root / 'docs' / name).read_bytes() for name in names]
    assert pictures[0] != pictures[1]


def test_check_fails_until_the_page_is_written(root, capsys):
    page = root / 'docs/results.md'
    page.write_text('<!-- main: arena/birds -->\n<!-- end -->\n')
    assert results.main(['--check'], root) == 1
    assert 'out of date' in capsys.readouterr().out
    assert page.read_text() == '<!-- main: arena/birds -->\n<!-- end -->\n'
    assert results.main([], root) == results.main(['--check'], root) == 0
    write(root, run_of('vpt, 10 images', 62.0, seed=1))
    assert results.main(['--check'], root) == 1


@pytest.mark.parametrize(
    'page',
    [
        '<!-- main: arena/birds -->\n',
        '<!-- mean: arena/birds -->\n<!-- end -->',
        '<!-- main: a -->\n<!-- plot: arena/birds -->\n<!-- end -->',
    ],
)
def test_place_without_end_or_kind_is_an_error(root, page):
    with pytest.raises(UsageError, match='every place should be one of main'):
        results.fill(page, root)


@pytest.mark.parametrize(
    'run',
    [
        run_of('vpt, 5 images', 50.0, seed=7, lr=0.5),
        run_of('vpt, 7 images', 50.0),
        run_of('vpt, 5 images', 50.0, seed=1),
    ],
)
def test_run_that_is_not_of_the_table_is_an_error(root, run):
    write(root, run, 'extra.json')
    with pytest.raises(UsageError, match='should be the only run of seed'):
        results.read_results(root, 'arena/birds')


def test_run_of_another_config_is_an_error(root):
    run = run_of('vpt, 5 images', 50.0, seed=2)
    run['settings']['base'] = 'cars.py'
    write(root, run)
    with pytest.raises(UsageError, match='should be the only run of seed 2'):
        results.read_results(root, 'arena/birds')


@pytest.mark.parametrize(
    'other', [dict(protocol='tune'), dict(cfg_options={'max_epochs': 1})]
)
def test_runs_with_other_options_are_not_one_table(root, other):
    run = run_of('vpt, 5 images', 50.0, seed=2)
    run['settings'] |= other
    write(root, run)
    with pytest.raises(UsageError, match='same --protocol and --cfg-options'):
        results.read_results(root, 'arena/birds')


def test_tables_of_configs_have_their_runs_in_benchmarks(root):
    (root / 'configs/experiments').mkdir(parents=True)
    old = root / 'benchmarks/arena/birds.csv'
    old.rename(root / 'configs/experiments/birds.csv')
    (root / 'benchmarks/results').mkdir()
    old = root / 'benchmarks/arena/results/birds'
    old.rename(root / 'benchmarks/results/birds')
    assert len(text_of(root, 'main: birds')) == 2 + 4


def test_collect_copies_finished_runs_without_folders(root, capsys):
    work = root / 'work_dirs/birds'
    data = dict(root='/home/me/data/birds', files=['/tmp/a.txt', 'b/c.txt'])
    runs = dict(
        vpt=run_of('vpt, 5 images', 50.0, data=data, depth=3),
        lora=dict(settings=run_of('lora, 5 images', 1.0)['settings']),
    )
    for name, run in runs.items():
        (work / name / 'seed_0').mkdir(parents=True)
        (work / name / 'seed_0/run.json').write_text(json.dumps(run))
    target = root / 'benchmarks/cars'
    assert results.main(['--collect', str(work), str(target)]) == 0
    assert capsys.readouterr().out == 'copied 1 finished runs; 1 unfinished\n'
    (file,) = target.rglob('*.json')
    assert file == target / 'results/birds/vpt_seed_0.json'
    copy = json.loads(file.read_text())
    changes = copy['settings']['changes']
    assert changes.pop('data') == dict(
        root='birds', files=['a.txt', 'b/c.txt']
    )
    del runs['vpt']['settings']['changes']['data']
    assert copy == runs['vpt']


def test_vtab_place(root):
    assert (
        results.KINDS['vtab'](results.read_results(root, 'arena/birds')) == ''
    )
