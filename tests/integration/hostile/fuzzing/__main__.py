"""`python -m tests.integration.hostile.fuzzing`, which is `make fuzz-rpc`."""

import sys

from tests.integration.hostile.fuzzing.program import main

sys.exit(main())
