"""What one part of the soak test counted, and what failed in it."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Failure:
    """One promise that was not kept.

    Args:
        seed (int): The seed that repeats it alone.
        what (str): What was done to what, and what came of it.
    """

    seed: int
    what: str


@dataclass
class Report:
    """What one part of the soak test counted, and what failed in it.

    Args:
        name (str): The part, as 'kills'.
        count (int): How many cases were tried. Defaults to 0.
        outcomes (Counter): Outcome to number of cases, as 'resumed equal'.
        failures (List[Failure]): What failed.
        seconds (float): How long it took. Defaults to 0.
    """

    name: str
    count: int = 0
    outcomes: Counter = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def passed(self, outcome: str) -> None:
        """Count a case that kept its promise.

        Args:
            outcome (str): How it ended, in few words: they are counted.
        """
        self.count += 1
        self.outcomes[outcome] += 1

    def failed(self, seed: int, what: str) -> None:
        """Count a case that did not keep its promise.

        Args:
            seed (int): The seed that repeats it alone.
            what (str): What was done to what, and what came of it.
        """
        self.count += 1
        self.failures.append(Failure(seed, what))

    def lines(self) -> list[str]:
        """Return the report: a line of counts, and one for each failure."""
        counts = ', '.join(
            f'{number} {outcome}'
            for outcome, number in self.outcomes.most_common()
        )
        head = (
            f'{self.name}: {self.count} cases in {self.seconds:.0f} s, '
            f'{len(self.failures)} failed' + (f'; {counts}' if counts else '')
        )
        return [head] + [
            f'{self.name}: FAILED with seed {failure.seed}: {failure.what}'
            for failure in self.failures
        ]
