"""Small files on disk, and configs of the datasets that read them."""

from mmdavpt.utils.data_check import check_data

SEG = 'mmseg.BaseSegDataset'
CLS = 'mmpretrain.CustomDataset'


def loader(**dataset):
    return dict(train_dataloader=dict(dataset=dataset))


def check(**dataset):
    check_data(loader(**dataset), ['train'])


def write(folder, *names, content='x'):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
