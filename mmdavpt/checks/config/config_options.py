"""What ``--cfg-options`` may set: so that no option is dead or misspelt."""

from difflib import get_close_matches

from mmengine import Config

from mmdavpt.errors import UsageError

from .config_keys import accepted_keys, is_within, runner_keys, walk
from .free_dicts import free_paths


def check_option(cfg: dict | Config, key: str) -> None:
    """Raise a sentence if setting one key of a config changes nothing.

    A key that the config has may be set, if it is not a mere variable of the
    config file. A new key may be set where something takes it: an argument of
    the dict's type, a key that runs read, or any key of a free dict.

    Args:
        cfg (dict | Config): The config.
        key (str): Dotted key; numbers are indices of lists.

    Raises:
        UsageError: If the key cannot be set, or would change nothing.
    """
    cfg = cfg.to_dict() if isinstance(cfg, Config) else cfg
    scope = cfg.get('default_scope', 'mmengine')
    names = key.split('.')
    node, path = cfg, ''
    for depth, name in enumerate(names):
        if isinstance(node, (list, tuple)):
            if not name.isdigit() or int(name) >= len(node):
                raise UsageError(
                    f'--cfg-options {key}: `{path}` is a list of '
                    f'{len(node)}, so `{name}` should be an index below that'
                )
            node = node[int(name)]
        elif isinstance(node, dict):
            if path == '' and name in node and name not in runner_keys():
                raise UsageError(_variable_sentence(cfg, name))
            if name not in node:
                if not is_within(path, free_paths(cfg)):
                    _check_new_key(key, path, node, name, scope)
                return
            node = node[name]
        else:
            raise UsageError(
                f'--cfg-options {key}: `{path}` is {node!r} and has no key '
                f'`{name}`; to replace it, set `{path}` itself'
            )
        path = '.'.join(names[: depth + 1])


def _check_new_key(
    key: str, path: str, node: dict, name: str, scope: str
) -> None:
    accepted = accepted_keys(path, node, scope)
    if accepted is None or name in accepted:
        return
    near = get_close_matches(name, {*node, *accepted}, n=3)
    hint = (
        f'did you mean {" or ".join(f"`{n}`" for n in near)}?'
        if near
        else 'it takes ' + ', '.join(f'`{n}`' for n in sorted(accepted))
    )
    raise UsageError(
        f'--cfg-options {key}: '
        f'{f"`{path}`" if path else "the config"} has no key '
        f'`{name}`; {hint}'
    )


def _variable_sentence(cfg: dict, name: str) -> str:
    """Say that a variable of the config file is set too late."""
    value = cfg[name]
    fed = [
        f'`{path}.{key}`'
        for path, node in walk(cfg)
        for key, other in node.items()
        if path
        and path.split('.')[0] in runner_keys()
        and (
            key == name
            or (
                isinstance(value, (str, list, tuple))
                and value
                and type(other) is type(value)
                and other == value
            )
        )
    ]
    hint = f' such as {", ".join(fed[:3])}' if fed else ''
    return (
        f'--cfg-options {name}: this is a variable of the config file, '
        'which has already been used to fill in other keys, so setting it '
        f'now would change nothing; set those keys{hint}, or write a '
        'config that inherits from this one'
    )
