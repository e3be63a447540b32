"""Picture files: reading, writing, their names and what is written into them."""
