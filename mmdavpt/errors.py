"""The error of a mistake on the command line."""


class UsageError(ValueError):
    """What was asked for cannot be done; the message says what to do.

    Tools print it as one sentence, without a traceback.
    """
