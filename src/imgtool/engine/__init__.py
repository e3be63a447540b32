"""Planning by names and running batches. Observers get events; nothing here prints."""
