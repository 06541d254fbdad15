"""Set-up of the package; `requirements/tested.txt` pins what was tested."""

import os.path as osp

from setuptools import find_packages, setup

#: Packages for tools/dataset_converters: TFRecord and HDF5 files.
CONVERTERS = ['google-crc32c>=1.5', 'h5py', 'protobuf>=4.22']
#: Packages for `mmdavpt export` to ONNX.
ONNX = ['onnx', 'onnxruntime', 'onnxscript']
#: Files of configs and tools that a wheel has.
KINDS = ['csv', 'json', 'md', 'py', 'sh', 'yml']
HERE = osp.dirname(osp.abspath(__file__))


def read(*names: str) -> str:
    """Return the text of a file, or '' if it does not exist."""
    path = osp.join(HERE, *names)
    if not osp.exists(path):
        return ''
    with open(path, encoding='utf-8') as file:
        return file.read()


def version() -> str:
    """Return the version without importing the package."""
    scope: dict = {}
    exec(read('mmdavpt', 'version.py'), scope)
    return scope['__version__']


setup(
    name='mmdavpt',
    version=version(),
    description='Distribution-aware visual prompt tuning for MMPretrain and '
    'MMSegmentation',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    python_requires='>=3.10,<3.13',
    packages=find_packages(include=['mmdavpt', 'mmdavpt.*']),
    # In .mim are links to the folders of the clone; a wheel has their files.
    package_data={
        'mmdavpt': [
            'py.typed',
            '**/*.jinja',
            'datasets/*.csv',
            'models/pretrained/*.csv',
            '.mim/checkpoints/vit-tiny_glyphs.pth',
            *(f'.mim/**/*.{kind}' for kind in KINDS),
        ]
    },
    entry_points={'console_scripts': ['mmdavpt = mmdavpt.cli.__main__:main']},
    install_requires=[
        'torch>=2.6,<3',
        'torchvision>=0.21,<1',
        'numpy>=2,<3',
        'scikit-learn>=1.4,<2',
        'threadpoolctl>=3,<4',
        'matplotlib>=3.8,<4',
        'timm>=1.0.20,<1.1',
        'pillow>=10.1',
        'jinja2>=3.1,<4',
        'rich>=13',
        # Lets torch.load read checkpoints that end in .safetensors.
        'safetensors>=0.4,<1',
        # A minor release may change internals that this package uses.
        'onedl-mmengine>=0.10.12,<0.11',
        'onedl-mmcv>=2.3.6,<2.4',
        'onedl-mmsegmentation>=1.4.2,<1.5',
        'onedl-mmpretrain>=1.3.6,<1.4',
        # torch and mmengine still import distutils, which it provides.
        'setuptools',
    ],
    extras_require={
        'converters': CONVERTERS,
        'onnx': ONNX,
        # Its layers' internals may change in a minor release.
        'peft': ['peft>=0.21,<0.22'],
        # Its storages and samplers may change in a major release.
        'search': ['optuna>=5,<6'],
        'tensorboard': ['tensorboard'],
        'wandb': ['wandb'],
        'dev': [
            *CONVERTERS,
            *ONNX,
            'hypothesis',
            'interrogate',
            'mypy',
            'open-clip-torch',
            'optuna>=5,<6',
            'pytest',
            'pytest-xdist',
            'ruff',
        ],
    },
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3 :: Only',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    zip_safe=False,
)
