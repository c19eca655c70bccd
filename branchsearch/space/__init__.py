"""Which trees may be built: count, list, sample and encode them, and what they cost."""
