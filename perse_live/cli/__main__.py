"""`python -m perse_live.cli`."""

import sys

from perse_live.cli import main

sys.exit(main())
