"""Outcomes and failures of one part of the soak test."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Failure:
    """A guarantee that does not hold.

    Args:
        seed (int): The seed that reproduces it.
        what (str): The damage and its outcome.
    """

    seed: int
    what: str


@dataclass
class Report:
    """Outcomes and failures of one part of the soak test.

    Args:
        name (str): The part, such as 'kills'.
        count (int): The number of cases. Defaults to 0.
        outcomes (Counter): Outcome to number of cases.
        failures (list[Failure]): The failures.
        seconds (float): Duration. Defaults to 0.
    """

    name: str
    count: int = 0
    outcomes: Counter = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def passed(self, outcome: str) -> None:
        """Count a case whose guarantee holds.

        Args:
            outcome (str): How it ended, in a few words.
        """
        self.count += 1
        self.outcomes[outcome] += 1

    def failed(self, seed: int, what: str) -> None:
        """Count a case whose guarantee does not hold.

        Args:
            seed (int): The seed that reproduces it.
            what (str): The damage and its outcome.
        """
        self.count += 1
        self.failures.append(Failure(seed, what))

    def lines(self) -> list[str]:
        """Return the report: a line of counts, and one line per failure."""
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
