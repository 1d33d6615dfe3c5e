"""``python -m mmseg_allspark.doctor``: say whether this environment can train, and how to mend it."""

import sys

from mmseg_allspark.environment import main

if __name__ == "__main__":
    sys.exit(main())
