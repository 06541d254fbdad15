"""The architecture rules, read from the source.

Rules 4 and 5 need the package to run: ``test_import_side_effects.py`` and
``test_models/test_guidance/test_training_loops.py``. The tests that register
a user's tuner and metric cover rule 8.
"""

import inspect
import statistics

import pytest

from tests.source_tree import (
    PACKAGE,
    code_lines,
    functions,
    imports,
    modules,
    string_tables,
)

#: What only users and the command call.
OUTER = ('visualization', 'api', 'cli')
#: Folder to the folders and modules that it must not import.
FORBIDDEN = {
    'models': ('engine', 'checks', *OUTER),
    'mapping': ('models', 'engine', 'checks', *OUTER),
    'checkpoints': ('models', 'mapping', 'engine', 'checks', *OUTER),
    'datasets': ('models', 'engine', 'checks', *OUTER),
    'engine': ('checks', *OUTER),
    'checks': OUTER,
    'visualization': ('engine', 'checks', 'api', 'cli'),
    'api': ('checks', 'visualization', 'cli'),
}
MODULES = modules()


def within(name: str, folder: str) -> bool:
    """Return whether a dotted name is a folder of the package or below it."""
    return f'{name}.'.startswith(f'mmdavpt.{folder}.')


def forbidden_imports(trees, folder, forbidden):
    return sorted(
        f'{name} imports {imported}'
        for name, tree in trees.items()
        if within(name, folder)
        for imported in imports(name, tree)
        if any(within(imported, other) for other in forbidden)
    )


@pytest.mark.parametrize('folder', FORBIDDEN)
def test_layers_import_only_what_is_below_them(folder):
    """Rules 1 to 3."""
    assert any(within(name, folder) for name in MODULES)
    assert not forbidden_imports(MODULES, folder, FORBIDDEN[folder])


def test_only_the_command_line_imports_the_checks():
    """Rule 2."""
    found = [
        f'{name} imports {imported}'
        for name, tree in MODULES.items()
        for imported in imports(name, tree)
        if within(imported, 'checks')
        and not within(name, 'checks')
        and not within(name, 'cli')
    ]
    assert not found


def test_a_forbidden_import_is_found_in_any_form(tmp_path):
    package = tmp_path / 'mmdavpt'
    for folder in ('models', 'engine'):
        (package / folder).mkdir(parents=True)
        (package / folder / '__init__.py').touch()
    forms = (
        'import mmdavpt.engine.runner',
        'from mmdavpt.engine import runner',
        'from mmdavpt import engine',
        'from ..engine.runner import DAVPTRunner',
        'from .. import engine',
        'def f():\n    from mmdavpt.engine.runner import DAVPTRunner',
    )
    for form in forms:
        (package / 'models' / 'bad.py').write_text(form)
        assert forbidden_imports(modules(package), 'models', ('engine',))
    (package / 'models' / 'bad.py').write_text('from . import engine')
    assert not forbidden_imports(modules(package), 'models', ('engine',))


@pytest.mark.parametrize('concept', ['mapping', 'checkpoints', 'tuners'])
def test_a_concept_has_one_folder(concept):
    """Rule 6."""
    folders = [p for p in PACKAGE.rglob(f'{concept}*') if p.is_dir()]
    # In .mim are links to configs, tools and weights of the clone.
    assert len([p for p in folders if p.parent.name != '.mim']) == 1


@pytest.mark.parametrize(
    'library, folder',
    [('sklearn.cluster', 'mapping'), ('safetensors', 'checkpoints')],
)
def test_a_concept_uses_its_library_in_one_folder(library, folder):
    """Rule 6: k-means is in mapping/, file formats are in checkpoints/."""
    users = {
        name
        for name, tree in MODULES.items()
        if any(f'{i}.'.startswith(f'{library}.') for i in imports(name, tree))
    }
    assert users
    assert all(within(name, folder) for name in users)


def stated_names():
    """Return the names that signatures and registries of libraries state.

    Returns:
        dict[str, set[str]]: What states them, to the names.
    """
    import mmengine.registry
    import mmpretrain.datasets  # noqa: F401
    import mmpretrain.models  # noqa: F401
    import mmseg.datasets  # noqa: F401
    import mmseg.models  # noqa: F401
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    stated = {
        'the methods of Hook': {n for n in vars(Hook) if n[0] != '_'},
        'the arguments of Runner': set(inspect.signature(Runner).parameters),
    }
    for root in vars(mmengine.registry).values():
        if not isinstance(root, mmengine.registry.Registry):
            continue
        for registry in [root, *root.children.values()]:
            if registry.scope == 'mmdavpt':
                continue
            stated[f'the registry {registry!r:.60}'] = {*registry.module_dict}
            for name, cls in registry.module_dict.items():
                if not inspect.isclass(cls):
                    continue
                try:
                    parameters = inspect.signature(cls).parameters
                except ValueError:  # of a class in C
                    continue
                stated[f'the arguments of {name}'] = {*parameters}
    return stated


def test_no_table_repeats_a_signature_or_registry():
    """Rule 7: introspect instead."""
    stated = stated_names()
    found = [
        f'{name}:{line}: {sorted(strings)} repeats {source}'
        for name, tree in MODULES.items()
        for line, strings in string_tables(tree, least=4)
        for source, names in stated.items()
        if strings <= names
    ]
    assert not found


def test_sizes_stay_within_the_budget():
    paths = [*PACKAGE.rglob('*.py')]
    lines = {path: len(path.read_text().splitlines()) for path in paths}
    code = {path: code_lines(path) for path in paths}
    checks = PACKAGE / 'checks'
    # The goal is 13,000.
    assert sum(code.values()) <= 13_159
    assert sum(n for p, n in code.items() if checks in p.parents) <= 1_600
    assert statistics.median(lines.values()) < 110
    assert not {str(p): n for p, n in lines.items() if n > 350}
    long = {
        f'{module}.{name}': size
        for module, tree in MODULES.items()
        for name, size in functions(tree)
        if size > 60
    }
    assert not long


def test_code_lines_leave_out_blanks_comments_and_docstrings(tmp_path):
    path = tmp_path / 'three.py'
    path.write_text(
        '"""A module.\n\nMore.\n"""\n\n# why\nx = [\n    1,  # one\n]\n\n\n'
        'def f():\n    """Return."""\n'
    )
    assert code_lines(path) == 4
