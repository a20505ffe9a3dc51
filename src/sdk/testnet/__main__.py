"""`python -m sdk.testnet`: the `testnet` command."""

import sys

from sdk.testnet.command.program import main

sys.exit(main())
