"""Class names of VTAB's tasks, in the order of their labels."""

import os.path as osp
from collections.abc import Callable

from mmpretrain.datasets.categories import CIFAR100_CATEGORIES

from mmdavpt.datasets.benchmarks import Benchmark

from .sources.example import Splits

#: Names of Oxford Flowers-102 in TensorFlow Datasets; the download has none.
FLOWERS = (
    'pink primrose|hard-leaved pocket orchid|canterbury bells|sweet pea|'
    'english marigold|tiger lily|moon orchid|bird of paradise|monkshood|'
    "globe thistle|snapdragon|colt's foot|king protea|spear thistle|"
    'yellow iris|globe-flower|purple coneflower|peruvian lily|balloon flower|'
    'giant white arum lily|fire lily|pincushion flower|fritillary|red ginger|'
    'grape hyacinth|corn poppy|prince of wales feathers|stemless gentian|'
    'artichoke|sweet william|carnation|garden phlox|love in the mist|'
    'mexican aster|alpine sea holly|ruby-lipped cattleya|cape flower|'
    'great masterwort|siam tulip|lenten rose|barbeton daisy|daffodil|'
    'sword lily|poinsettia|bolero deep blue|wallflower|marigold|buttercup|'
    'oxeye daisy|common dandelion|petunia|wild pansy|primula|sunflower|'
    'pelargonium|bishop of llandaff|gaura|geranium|orange dahlia|'
    'pink-yellow dahlia|cautleya spicata|japanese anemone|black-eyed susan|'
    'silverbush|californian poppy|osteospermum|spring crocus|bearded iris|'
    'windflower|tree poppy|gazania|azalea|water lily|rose|thorn apple|'
    'morning glory|passion flower|lotus|toad lily|anthurium|frangipani|'
    'clematis|hibiscus|columbine|desert-rose|tree mallow|magnolia|cyclamen|'
    'watercress|canna lily|hippeastrum|bee balm|ball moss|foxglove|'
    'bougainvillea|camellia|mallow|mexican petunia|bromelia|blanket flower|'
    'trumpet creeper|blackberry lily'
)

#: Names that do not depend on the files. dSprites has no names, and those of
#: DMLab are not published.
FIXED: dict[str, list[str]] = {
    'cifar': list(CIFAR100_CATEGORIES),
    'oxford_flowers102': FLOWERS.split('|'),
    'svhn': [str(digit) for digit in range(10)],
    'patch_camelyon': ['no tumour', 'tumour'],
    'diabetic_retinopathy': [
        'none',
        'mild',
        'moderate',
        'severe',
        'proliferative',
    ],
    'clevr_count': [f'{count} objects' for count in range(3, 11)],
    'clevr_dist': [
        'up to 8.0',
        '8.0 to 8.5',
        '8.5 to 9.0',
        '9.0 to 9.5',
        '9.5 to 10.0',
        'over 10.0',
    ],
    'kitti': ['up to 8 m', '8 m to 20 m', 'over 20 m', 'no vehicle'],
    'smallnorb_azi': [f'{angle} degrees' for angle in range(0, 360, 20)],
    'smallnorb_ele': [f'{angle} degrees' for angle in range(30, 75, 5)],
}


def _first_folder(key: str) -> str:
    return key.split('/')[0]


def _repeated(key: str) -> str:
    """Return 'river_bank' of 'river_bank_river_bank_007.jpg'."""
    twice = key.rpartition('_')[0]
    return twice[: len(twice) // 2]


#: Functions that return the name of a class from the key of an example.
FROM_KEY: dict[str, Callable[[str], str]] = {
    'caltech101': _first_folder,
    'dtd': _first_folder,
    'eurosat': _repeated,
    'resisc45': _repeated,
    'oxford_iiit_pet': lambda key: key.rpartition('_')[0],
    # '/c/church/outdoor/sun_abc.jpg'
    'sun397': lambda key: osp.dirname(key)[3:],
}


def class_names(task: Benchmark, splits: Splits) -> list[str] | None:
    """Return the class names of a task.

    Args:
        task (Benchmark): The task.
        splits (Splits): Examples of its source.

    Returns:
        list[str] | None: The names; None if they are unknown, or if a class
        has no example.
    """
    if task.name not in FROM_KEY:
        return FIXED.get(task.name)
    name_of = FROM_KEY[task.name]
    names = {
        example.label: name_of(example.key)
        for examples in splits.values()
        for example in examples
    }
    labels = range(task.num_classes)
    return [names[i] for i in labels] if set(names) == set(labels) else None


def prepared_class_names(task: Benchmark, folder: str) -> list[str] | None:
    """Return the class names of a dataset that TensorFlow Datasets prepared.

    Args:
        task (Benchmark): The task.
        folder (str): Folder of a version.

    Returns:
        list[str] | None: Those of ``label.labels.txt``, or else those that do
        not depend on files; None if neither is known.
    """
    path = osp.join(folder, 'label.labels.txt')
    if task.name in FIXED or not osp.isfile(path):
        return FIXED.get(task.name)
    with open(path, encoding='utf-8') as file:
        names = [line.strip() for line in file if line.strip()]
    return names if len(names) == task.num_classes else None
