"""Seeds that are functions of what they are for, never of what ran before."""

import hashlib


def derive_seed(run_seed: int, iteration: int, purpose: str) -> int:
    """Return the seed of one step of a run, whatever ran before it.

    Candidates of one iteration share it, so that they see the same batches.
    """
    text = f"{run_seed}/{iteration}/{purpose}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1
