"""Say whether this environment can train, and how to mend it: ``python tools/doctor.py``."""

import os
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    paths = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in paths if path))
    sys.exit(subprocess.call([sys.executable, "-m", "mmseg_allspark.doctor", *sys.argv[1:]], env=environment))
