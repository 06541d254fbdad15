"""Files that no loader reads, hidden folders and missing partners."""

import pytest
from mmpretrain.datasets import CustomDataset
from mmseg.datasets import BaseSegDataset

from mmdavpt.checks.data.checked_dataset import checked_dataset
from mmdavpt.checks.data.folder_findings import folder_findings
from mmdavpt.datasets.image_files import list_files, media_type
from mmdavpt.errors import UsageError

from .data_files import CLS, check, scenes, write


def kinds(dataset, used=()):
    data = checked_dataset('train', 'train_dataloader.dataset', dataset, {})
    return {f.kind: f for f in folder_findings(data, used)}


def test_extensions_that_are_not_read(tmp_path):
    write(tmp_path, *(f'cat/{k}.jpg' for k in range(4)), 'dog/1.JPG')
    assert kinds(CustomDataset(str(tmp_path))) == {}
    write(tmp_path, 'cat/a.webp', 'dog/b.webp', 'dog/c.heic', 'dog/d.WebP')
    write(tmp_path, 'cat/notes.txt', 'cat/Thumbs.db', 'cat/.DS_Store')
    found = kinds(CustomDataset(str(tmp_path)))
    assert list(found) == ['unread_images']
    unread = found['unread_images']
    assert unread.severity == 'warning'  # 4 of 9
    assert unread.files == (
        *(f'{tmp_path}/cat/a.webp', f'{tmp_path}/dog/b.webp'),
        *(f'{tmp_path}/dog/c.heic', f'{tmp_path}/dog/d.WebP'),
    )
    assert unread.sentence == (
        'images that are not read because of their names: 4 (such as '
        f'{tmp_path}/cat/a.webp, {tmp_path}/dog/b.webp, '
        f'{tmp_path}/dog/c.heic); 5 images are read; use '
        'mmdavpt.ImageFolder, and convert what it cannot read to JPEG or PNG'
    )
    (tmp_path / 'dog/c.heic').rename(tmp_path / 'dog/c.gif')
    write(tmp_path, 'cat/e.avif')
    unread = kinds(CustomDataset(str(tmp_path)))['unread_images']
    assert unread.severity == 'error'  # 5 of 10
    wide = ('.jpg', '.webp', '.gif', '.avif')
    assert kinds(CustomDataset(str(tmp_path), extensions=wide)) == {}


def test_images_that_are_left_out_on_purpose(tmp_path):
    write(tmp_path, 'cat/1.jpg', 'dog/1.webp', 'dog/2.jpg', 'list.txt')
    assert kinds(CustomDataset(str(tmp_path))).keys() == {'unread_images'}
    used = [f'{tmp_path}/dog/1.webp']  # by another dataset
    assert kinds(CustomDataset(str(tmp_path)), used) == {}
    (tmp_path / 'list.txt').write_text('cat/1.jpg 0\n')
    listed = CustomDataset(str(tmp_path), ann_file='list.txt')
    assert kinds(listed) == {}
    assert kinds(CustomDataset(str(tmp_path), indices=1)) == {}
    # A folder that does not exist.
    listed.data_prefix['img_path'] = str(tmp_path / 'none')
    assert kinds(listed) == {}


def test_hidden_folders_that_become_classes_or_samples(tmp_path):
    write(tmp_path, 'cat/1.jpg', 'dog/1.jpg', '__MACOSX/cat/._1.jpg')
    write(tmp_path, '.ipynb_checkpoints/1-checkpoint.jpg')
    write(tmp_path, 'dog/.ipynb_checkpoints/1-checkpoint.jpg')
    dataset = CustomDataset(str(tmp_path))
    assert len(dataset.CLASSES) == 4  # of which two are meant
    (finding,) = kinds(dataset).values()
    assert (finding.kind, finding.severity) == ('hidden_folder', 'error')
    assert finding.sentence == (
        f'{tmp_path}/.ipynb_checkpoints, {tmp_path}/__MACOSX, {tmp_path}/dog/'
        '.ipynb_checkpoints: hidden, but read as class 0, class 1, samples; '
        'remove them from the data'
    )
    # A hidden folder above the data does not count.
    write(tmp_path / '.cache/x', 'cat/1.jpg')
    assert kinds(CustomDataset(str(tmp_path / '.cache/x'))) == {}


def segmentation(folder, **changes):
    given = {**scenes(folder, number=4), **changes}
    del given['type']
    return BaseSegDataset(**given)


def test_partners(tmp_path):
    assert kinds(segmentation(tmp_path / 'a')) == {}
    for name in ('img/8.jpg', 'ann/9.png', 'img/7.webp', 'ann/7.png'):
        write(tmp_path / 'a', name)
    given = scenes(tmp_path / 'b')
    del given['type']
    given['data_root'] = str(tmp_path / 'a')
    found = kinds(BaseSegDataset(**given))
    assert list(found) == [
        'images_without_labels',
        'labels_without_images',
        'unread_images',
    ]
    assert 'mmdavpt.SegmentationFolder' in found['unread_images'].sentence
    lonely = found['images_without_labels']
    assert lonely.files == (f'{tmp_path}/a/img/8.jpg',)
    assert 'ann/8.png does not exist; add it, or' in lonely.sentence
    # The label of an image that is not read is not said to lack one.
    alone = found['labels_without_images']
    assert alone.files == (f'{tmp_path}/a/ann/9.png',)
    # Labels are not read, so they may be missing.
    given['pipeline'] = given['pipeline'][:1]
    assert list(kinds(BaseSegDataset(**given))) == ['unread_images']


def test_suffix_of_labels(tmp_path):
    dataset = segmentation(tmp_path)
    for k in range(4):
        label = tmp_path / f'ann/{k}.png'
        label.rename(label.with_name(f'{k}_mask.PNG'))
    ((kind, finding),) = kinds(dataset).items()
    assert kind == 'images_without_labels' and len(finding.files) == 4
    assert "set seg_map_suffix='_mask.PNG'" in finding.sentence
    # Images and labels in one folder.
    one = tmp_path / 'one'
    write(one, 'a_img.png', 'a_lab.png')
    given = dict(img_suffix='_img.png', seg_map_suffix='_lab.png')
    dataset = BaseSegDataset(
        data_prefix=dict(img_path=str(one), seg_map_path=str(one)), **given
    )
    assert kinds(dataset) == {}


def test_names_and_links(tmp_path):
    write(tmp_path, 'a b\n/ä 猫.webp', 'c/1.jpg', 'c/2.webp', 'c/.git/1.webp')
    (tmp_path / 'c/loop').symlink_to(tmp_path)
    (tmp_path / 'd').symlink_to(tmp_path / 'c')
    (tmp_path / 'broken.webp').symlink_to('nowhere')
    names, folders, hidden = list_files(str(tmp_path))
    assert names == [
        *('a b\n/ä 猫.webp', 'broken.webp', 'c/1.jpg', 'c/2.webp'),
        *('d/1.jpg', 'd/2.webp'),
    ]
    assert folders == ['a b\n', 'c', 'c/loop', 'd', 'd/loop']
    assert hidden == ['c/.git', 'd/.git']
    (tmp_path / 'c/loop').unlink()
    unread = kinds(CustomDataset(str(tmp_path)))['unread_images']
    webp = [name for name in names if name.endswith('.webp')]
    assert unread.files == tuple(f'{tmp_path}/{name}' for name in webp)


@pytest.mark.parametrize('ext', 'jpg JPEG webp heic Tif gif'.split())
def test_extensions_of_images(ext):
    assert media_type(f'a/b.{ext}') == 'image'
    assert media_type(f'a.{ext}/b.txt') == 'text' and not media_type('a/b')


def test_a_link_that_contains_itself(tmp_path):
    write(tmp_path, 'cat/1.jpg')
    (tmp_path / 'cat/loop').symlink_to(tmp_path)
    (tmp_path / 'cat/broken.jpg').symlink_to('nowhere')
    with pytest.raises(
        UsageError, match='read: .*Too many levels of symbolic'
    ):
        check(type=CLS, data_root=str(tmp_path), pipeline=[])
