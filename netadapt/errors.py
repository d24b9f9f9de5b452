class UserError(Exception):
    """An error that the user can fix: one line that names the thing, the value and the remedy.

    The command line prints it as ``error: ...`` and exits with code 2. Any other
    exception that reaches the command line is a bug and exits with code 1.
    """
