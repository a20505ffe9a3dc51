"""One process of a campaign: a run on each line of its input, its outcome on a line of its output. It ends when its input does.

So it outlives a campaign that is killed by one run at most.
"""

import json
import logging
import sys

import structlog

from metanode.simulation.journal import format_outcome, parse_run
from metanode.simulation.playing import draw, judge


def main() -> int:
    """Serve until the input ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for line in sys.stdin:
        wanted = parse_run(json.loads(line))
        print(format_outcome(judge(wanted, draw(wanted))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
