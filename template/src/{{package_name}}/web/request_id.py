"""The name by which a request is found again in logs and answers."""

import re
from random import Random

HEADER = b"x-request-id"
_random = Random()  # noqa: S311 - ids are to be found again, not to be kept secret
_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def choose_request_id(offered: bytes | None) -> str:
    """The id the caller offered if it is short and plain, a random one otherwise.

    Anything longer or stranger could flood the log or forge lines in it.
    """
    if offered is not None and _ACCEPTABLE.fullmatch(offered):
        return offered.decode("ascii")
    return _random.getrandbits(128).to_bytes(16, "big").hex()
