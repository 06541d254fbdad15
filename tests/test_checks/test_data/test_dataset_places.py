"""Where a dataset lies, as its config says."""

from mmdavpt.checks.data.dataset_places import places_of, reads_labels

MAPS = dict(img_path='img', seg_map_path='ann')
LOADED = [dict(type='LoadAnnotations')]


def test_an_empty_prefix_is_the_root():
    bare = dict(img_path='')
    assert places_of(dict(data_root='/r', data_prefix=bare), 'mmseg') == (
        dict(data_root='/r', img_path='/r/')
    )
    assert places_of(dict(data_prefix=bare), 'mmseg') == {}
    assert places_of(dict(data_prefix=MAPS, pipeline=LOADED), 'mmseg') == MAPS


def test_labels_that_are_not_read_are_no_place():
    assert reads_labels(dict(pipeline=LOADED))
    assert reads_labels({})
    for dataset in (
        dict(test_mode=True),
        dict(test_mode=True, pipeline=LOADED),
        dict(pipeline=[dict(type='LoadImageFromFile')]),
    ):
        assert not reads_labels(dataset)
        named = dict(dataset, data_root='/r', data_prefix=MAPS)
        assert places_of(named, 'mmseg') == (
            dict(data_root='/r', img_path='/r/img')
        )
