"""The documentation lists every registered name and option."""

import inspect
import re
from pathlib import Path

import pytest

from mmdavpt import datasets  # noqa: F401
from mmdavpt.engine import hooks, optimizers  # noqa: F401
from mmdavpt.models import DAVPTVisionTransformer
from mmdavpt.models.guidance.prompt_guidance import PromptGuidance
from mmdavpt.models.losses import DAVPTLoss
from mmdavpt.registry import DATASETS, HOOKS

DOCS = Path(__file__).parents[1] / 'docs'
#: Arguments passed on to a class of MMPretrain or MMSegmentation.
PASSED_ON = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
CONFIG = (DOCS / 'config.md').read_text(encoding='utf-8')


def registered(registry):
    """Return what the package registers, without what other tests do."""
    return {
        name: kind
        for name, kind in registry.module_dict.items()
        if kind.__module__.startswith('mmdavpt.')
    }


def section(title):
    """Return the part of docs/config.md under a heading."""
    return re.split(r'^## ', CONFIG.split(f'## {title}', 1)[1], flags=re.M)[0]


def keys_of(text):
    """Return the names in backquotes in the key columns of tables."""
    cells = re.findall(
        r'^\|(?: `mmdavpt\.\w+` \|| \|)? ([^|]+) \|', text, re.M
    )
    return {key for cell in cells for key in re.findall(r'`(\w+)`', cell)}


@pytest.mark.parametrize(
    'title, component, not_set',
    [
        ('`model.backbone`', DAVPTVisionTransformer, {'frozen_stages'}),
        (
            '`model.guidance`',
            PromptGuidance,
            {'num_classes', 'num_prompts', 'embed_dims', 'excluded'},
        ),
        ('`model.guidance.loss`', DAVPTLoss, set()),
    ],
)
def test_every_argument_is_listed(title, component, not_set):
    taken = {
        name
        for cls in component.__mro__
        if cls.__module__.startswith('mmdavpt') and '__init__' in vars(cls)
        for name, p in inspect.signature(cls).parameters.items()
        if p.kind is p.KEYWORD_ONLY or p.kind is p.POSITIONAL_OR_KEYWORD
    } - not_set
    listed = keys_of(section(title))
    assert taken <= listed
    extra = {'init_cfg'} if component is DAVPTVisionTransformer else set()
    assert listed <= taken | extra


def test_every_hook_and_its_arguments_are_listed():
    text = section('Hooks')
    listed = keys_of(text)
    for name, hook in registered(HOOKS).items():
        assert f'`mmdavpt.{name}`' in text
        parameters = inspect.signature(hook).parameters
        own = {n for n, p in parameters.items() if p.kind not in PASSED_ON}
        assert own <= listed


def test_every_registered_name_is_documented():
    text = ''.join(p.read_text(encoding='utf-8') for p in DOCS.glob('*.md'))
    names = {*registered(HOOKS), *registered(DATASETS)}
    assert {'PromptMappingHook', 'VTAB1k'} <= names
    for name in [*names, *optimizers.__all__]:
        assert name in text, name


@pytest.mark.parametrize(
    'page',
    [DOCS.parent / 'README.md', *sorted(DOCS.glob('*.md'))],
    ids=lambda p: p.name,
)
def test_links_exist_and_nothing_is_left_open(page):
    text = page.read_text(encoding='utf-8')
    assert not re.findall(r'@[A-Z]+@', text)
    for target in re.findall(r'\]\(([^)#][^)]*)\)', text):
        if '://' in target:
            continue
        path, _, anchor = target.partition('#')
        file = (page.parent / path).resolve()
        assert file.exists(), target
        if anchor:
            headings = re.findall(
                r'^#+ (.+)$', file.read_text(encoding='utf-8'), re.M
            )
            slugs = {
                re.sub(r'[^\w\- ]', '', h.lower()).replace(' ', '-')
                for h in headings
            }
            assert anchor in slugs, target
