"""The terminal shows results and warnings; the log file has everything."""

import re
import warnings

import pytest
from mmengine.logging import MMLogger, print_log
from mmengine.logging import logger as mmengine_logging

from mmdavpt.cli.console import quiet_console

#: Module, what it does, and whether the terminal shows it.
NOTES = [
    ('mmengine.runner.runner', 'logger.info("{}")', False),
    ('mmengine.runner.runner', 'logger.warning("{}")', True),
    ('mmengine.runner.runner', 'logger.warning("{} is deprecated")', False),
    ('mmengine.runner.runner', 'logger.error("{} is deprecated")', True),
    ('mmengine.runner.checkpoint', 'print_log("{}", "current")', False),
    ('mmengine.runner.checkpoint', 'print_log("{}")', False),
    ('mmengine.hooks.logger_hook', 'logger.info("{}")', True),
    ('mmengine.hooks.logger_hook', 'logger.info("Exp name: {}")', False),
    ('mmseg.evaluation.metrics.iou', 'print_log("{}", logger)', True),
    ('mmdavpt.models.guided_model', 'print_log("{}", "current")', True),
    ('users_hook', 'logger.info("{}")', True),
    ('users_hook', 'print("{}")', True),
    ('torch.utils', 'warnings.warn("{}", FutureWarning)', False),
    ('torch.utils', 'warnings.warn("{}\\nsecond line")', True),
    ('mmdavpt.losses', 'warnings.warn("{}", DeprecationWarning)', True),
    ('mmcv.ops', 'warnings.warn("{}: pin_memory")', False),
]


def notes_in(text):
    return sorted({int(k) for k in re.findall(r'\bnote (\d+)', text)})


@pytest.mark.parametrize('verbose', [False, True])
def test_notes_go_to_the_log_file(verbose, tmp_path, capfd):
    file, before = tmp_path / 'run.log', MMLogger.callHandlers
    tools = dict(print_log=print_log, warnings=warnings)
    with quiet_console(verbose), warnings.catch_warnings():
        warnings.simplefilter('always')
        exec('print_log("import")', dict(tools, __name__='mmseg.datasets'))
        logger = MMLogger.get_instance('run', log_file=str(file))
        for k, (module, code, _) in enumerate(NOTES):
            exec(
                code.format(f'note {k} '),
                dict(tools, __name__=module, logger=logger),
            )
    out, err = capfd.readouterr()
    # Without our own display of warnings, pytest catches them.
    expected = [
        k
        for k, (_, code, shown) in enumerate(NOTES)
        if ('warnings' not in code if verbose else shown)
    ]
    assert notes_in(out + err) == expected
    assert ('import' in out) == ('mmengine - INFO' in out) == verbose
    if not verbose:
        # Loggers have the file, prints and warnings have not.
        written = [
            k
            for k, (_, code, _) in enumerate(NOTES)
            if 'logger' in code or 'current' in code
        ]
        assert notes_in(file.read_text()) == written
        assert 'warning: note 13 second line\n' in err
    assert MMLogger.callHandlers is before
    assert not hasattr(mmengine_logging, 'print')
