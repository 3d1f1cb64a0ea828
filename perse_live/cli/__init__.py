"""The command line `perse-live`: a module for each command, with its options and what it does.

The only package that knows all stages; each is imported inside the command that needs it, so that `drive` starts without torch.
"""

from perse_live.cli.program import main as main
