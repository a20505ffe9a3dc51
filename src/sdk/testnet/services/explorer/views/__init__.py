"""The pages, a file a topic. Each gives handlers by path; a handler reads what its page shows, and returns a `View`."""
