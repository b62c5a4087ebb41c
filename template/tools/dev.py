"""`make dev`: the service with reload, and the unreliable upstream beside it.

Usage: python tools/dev.py PACKAGE
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from dotenv import dotenv_values


def main(package: str) -> int:
    """Run both until Ctrl-C or SIGTERM; the exit status of the service."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    upstream = [sys.executable, str(Path(__file__).with_name("unreliable_upstream.py"))]
    server = [sys.executable, "-m", "uvicorn", "--factory", f"{package}.__main__:build", "--no-access-log", "--reload"]
    variables = {**dotenv_values(".env"), **os.environ}
    address = ["--host", variables.get("HOST") or "127.0.0.1", "--port", variables.get("PORT") or "8000"]
    running = [subprocess.Popen(upstream), subprocess.Popen([*server, "--reload-dir", "src", *address])]
    try:
        with suppress(KeyboardInterrupt):
            return running[-1].wait()
        return 0
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
