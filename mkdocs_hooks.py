"""Hooks of the documentation site: pages and links outside of docs/.

README.md is the home page. A page may link to any file of the repository by
its relative path, as on a code host: the site then has a page of that file.
Docstrings lose their Sphinx roles, which Markdown does not know.
"""

import os.path
import re
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent
#: A link that starts neither with a scheme nor with an anchor.
LINK = re.compile(r'(?<=\]\()(?!\w+:|#)([^)#\s]+)')
#: Path of a page in the site to its file in the repository.
SOURCES: dict[str, Path] = {}


def page_of(path: Path) -> str:
    """Return where the site has a file of the repository."""
    name = path.relative_to(ROOT).as_posix()
    if name == 'README.md':
        return 'index.md'
    if name.startswith('docs/'):
        return name.removeprefix('docs/')
    return f'files/{name}' + '.md' * (path.suffix != '.md')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add README.md and, step by step, all files that pages link to."""
    SOURCES.clear()
    todo = [ROOT / 'README.md', *sorted(Path(config.docs_dir).rglob('*.md'))]
    for path in todo:
        name = page_of(path)
        SOURCES[name] = path
        text = path.read_text(encoding='utf-8')
        if path.suffix != '.md':
            text = f'# {path.name}\n\n```{path.suffix[1:]}\n{text}\n```\n'
        if files.get_file_from_path(name) is None:
            files.append(File.generated(config, name, content=text))
        links = LINK.findall(text) if path.suffix == '.md' else ()
        targets = [(path.parent / link).resolve() for link in links]
        todo += [
            target
            for target in dict.fromkeys(targets)
            if target.is_file()
            and target.suffix != '.png'
            and target not in todo
        ]
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Let links name pages of the site; leave broken links as they are."""
    here = page.file.src_uri

    def replace(link: re.Match) -> str:
        target = (SOURCES[here].parent / link[0]).resolve()
        if not target.is_file():
            return link[0]
        return os.path.relpath(page_of(target), os.path.dirname(here))

    return LINK.sub(replace, markdown)


class PlainDocstrings(griffe.Extension):
    """Turn Sphinx roles into code, and formulas into blocks of code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: object) -> None:
        """Change the docstring of an object."""
        if obj.docstring:
            text = obj.docstring.value.replace('.. math::\n', '\n')
            text = re.sub(r':\w+:`[~.]?([^`<]*)`', r'`\1`', text)
            obj.docstring.value = text.replace('``', '`')
