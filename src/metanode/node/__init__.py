"""One node put together: configuration, the driver of consensus, sync, and the composition root."""
