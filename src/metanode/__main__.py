"""`python -m metanode` is the `metanode` command."""

import sys

from metanode.cli import main

sys.exit(main())
