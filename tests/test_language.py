"""Plain English: phrases that do not occur in code, configs or documents."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = (
    *('mmdavpt', 'tools', 'benchmarks', 'configs', 'docs', 'tests'),
    *('README.md', 'CHANGELOG.md', 'checkpoints/README.md', 'Makefile'),
    *('CONTRIBUTING.md', '.github'),
)
#: Pattern to what to write instead.
BANNED = {
    r'\bhosts\b': 'MMPretrain, MMSegmentation or mmengine',
    r'\b(misfits?|strangers?)\b': 'mismatch, unexpected',
    r'\b(bad days|incidents?)\b': 'error, failure',
    r'\bbesides?\b': 'next to, in addition to',
    r'\banew\b': 'again, from scratch',
    r'\bfor want of\b': 'no, without',
    r'\b(whole or tuned|tuned weights)\b': 'full or tuned-only checkpoint',
    r'\bin spite of\b': 'despite',
    r'\b(go|goes|went) on\b': 'resume, continue',
    r'\bby (its|their) place\b': 'by position',
    r'\bdef _?(be|let|say)_': 'a verb and its object',
    r'^ *r?"""(What|Whether|How)\b': 'a noun phrase or an imperative',
}


def banned_phrases(text):
    """Yield the line, the phrase and its replacement."""
    for pattern, instead in BANNED.items():
        for found in re.finditer(pattern, text, re.M | re.I):
            line = text.count('\n', 0, found.start(0)) + 1
            yield f'{line}: {found[0].strip()!r}: write {instead}'


@pytest.mark.parametrize('place', PLACES)
def test_no_banned_phrase(place):
    path = ROOT / place
    files = [path] if path.is_file() else sorted(path.rglob('*'))
    texts = {
        file: file.read_text(encoding='utf-8')
        for file in files
        if file != Path(__file__)
        and file.suffix in ('.py', '.md', '.sh', '.yml', '')
        and file.is_file()
    }
    assert texts
    found = [
        f'{file.relative_to(ROOT)}:{phrase}'
        for file, text in texts.items()
        for phrase in banned_phrases(text)
    ]
    assert not found, '\n'.join(found)


@pytest.mark.parametrize(
    'text',
    ['the hosts', '\nx beside y', 'def let_it()', '"""What it does."""'],
)
def test_banned_phrases_are_found(text):
    assert list(banned_phrases(text))
