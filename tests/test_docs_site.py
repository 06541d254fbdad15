"""The pages of the site that repeat the code: they cannot fall behind."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.registry import Registry

from mmdavpt import registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs'


def generated(page):
    """Return the dotted names whose docstrings a page shows."""
    text = (DOCS / page).read_text(encoding='utf-8')
    return re.findall(r'^::: ([\w.]+)$', text, re.M)


@pytest.mark.parametrize('page', ['reference.md', 'api_reference.md'])
def test_generated_names_exist(page):
    names = generated(page)
    assert len(names) == len({*names})
    for name in names:
        module, _, attribute = name.rpartition('.')
        assert getattr(import_module(module), attribute).__doc__


def test_every_registered_class_is_in_the_reference():
    registered = set()
    for kind in vars(registry).values():
        if isinstance(kind, Registry):
            kind.import_from_location()
            registered |= {
                name
                for name, cls in kind.module_dict.items()
                if cls.__module__.startswith('mmdavpt.')
            }
    listed = {name.rpartition('.')[2] for name in generated('reference.md')}
    assert listed == registered | {'PromptGuidance'}


def test_every_function_of_the_api_is_in_its_reference():
    api = ast.parse((ROOT / 'mmdavpt/api/__init__.py').read_text('utf-8'))
    exported = {
        alias.name
        for node in api.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {f'mmdavpt.api.{name}' for name in exported} <= {
        *generated('api_reference.md')
    }


def test_every_page_is_in_the_menu_once():
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor('', lambda *args: None)  # Python tags
    nav = yaml.load((ROOT / 'mkdocs.yml').read_text('utf-8'), Loader)['nav']
    found = re.findall(r"'([\w./]+\.md)'", str(nav))
    pages = {path.name for path in DOCS.glob('*.md')}
    assert sorted(n for n in found if '/' not in n) == sorted(
        pages | {'index.md'}
    )
    for name in found:
        if name.startswith('files/'):
            assert (ROOT / name.removeprefix('files/')).is_file()


def test_broken_links_fail_the_build():
    """With ``--quiet``, mkdocs counts no warnings for ``--strict``."""
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    [build] = re.findall(r'^\t.*mkdocs build.*$', makefile, re.M)
    assert '--strict' in build and '--quiet' not in build
    assert 'make docs' in (ROOT / '.ci/run').read_text(encoding='utf-8')


def strings():
    """Return all texts of the package, with '…' for what is filled in."""
    found = []
    paths = [ROOT / 'tools/doctor.py', *(ROOT / 'mmdavpt').rglob('*.py')]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [getattr(part, 'value', '') for part in node.values]
                found.append(
                    ''.join(p if isinstance(p, str) else '…' for p in parts)
                )
    return found


def test_messages_of_the_troubleshooting_page_exist():
    text = (DOCS / 'troubleshooting.md').read_text(encoding='utf-8')
    cells = re.findall(r'^\| (`[^|]+`) \|', text, re.M)
    messages = [m for cell in cells for m in re.findall('`([^`]+)`', cell)]
    assert len(messages) > 40
    known = strings()
    for message in messages:
        pattern = '.+'.join(map(re.escape, message.split('…')))
        assert any(re.search(pattern, text) for text in known), message


def test_the_metric_of_the_page_runs():
    text = (DOCS / 'extending.md').read_text(encoding='utf-8')
    blocks = re.findall(r'```python\n(.*?)```', text, re.S)
    [block] = [b for b in blocks if 'class Pull' in b]
    try:
        exec(block, {})
        metric = registry.GUIDANCE_METRICS.build(dict(type='Pull', power=1.0))
    finally:
        registry.GUIDANCE_METRICS.module_dict.pop('Pull')
    similarity = torch.tensor([[0.25, 0.5], [0.0, 0.75]], requires_grad=True)
    loss = metric(similarity, torch.tensor([1, -1]), torch.ones(2).bool())
    assert loss.item() == (1 - 0.5) / 2
    loss.backward()
    assert similarity.grad.tolist() == [[0, -0.5], [0, 0]]
