"""How the family is trained: data rendered on the fly, resumable loops, one module a model."""
