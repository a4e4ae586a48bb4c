"""Let Python keep this package compiled: Invoke forbids it, and that takes 0.1 s of each run."""

import os
import sys
from pathlib import Path

# Where root works in somebody's folder, they could not remove what it leaves.
if not sys.flags.dont_write_bytecode and Path(__file__).stat().st_uid == os.geteuid():
    sys.dont_write_bytecode = False
