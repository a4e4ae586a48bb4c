"""Let Python cache this package's bytecode: Invoke forbids it, which costs 0.1 s in each run."""

import os
import sys
from pathlib import Path

# A user could not remove the cache files that root leaves in the user's folder.
if not sys.flags.dont_write_bytecode and Path(__file__).stat().st_uid == os.geteuid():
    sys.dont_write_bytecode = False
