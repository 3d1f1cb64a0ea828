"""`python -m perse_live` is `perse-live`."""

import sys

from perse_live.cli import main

if __name__ == "__main__":
    sys.exit(main())
