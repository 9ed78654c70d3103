"""The one error that a user is meant to read."""


class TrainingError(Exception):
    """Something in the input, the model or the registry that a person has to change.

    The message names the file or the option and the way out; the command line prints it without a traceback.
    """
