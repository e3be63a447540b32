"""The focus by a network: how it looks, how it is trained through the lens, and the stage."""
