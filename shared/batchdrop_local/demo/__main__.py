"""The same as `batchdrop demo`."""

import sys

from batchdrop.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
