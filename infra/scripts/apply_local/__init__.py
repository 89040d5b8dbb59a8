"""What infra/scripts/apply-local is made of: real applies against a local AWS emulator, and the platform on top."""


class Failure(Exception):
    """What went wrong, in sentences for whoever started it."""
