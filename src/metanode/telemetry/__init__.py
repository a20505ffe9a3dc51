"""What a node says of itself: log events and metrics. Names here are an interface; docs and dashboards rely on them."""
