"""Text to image through diffusers: the stages `generate.diffusers` and `decode.vae`."""
