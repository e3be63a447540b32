"""Super-resolution: pictures enlarged by resampling or by a net, in tiles."""
