"""The shell: one module a command, imported when it runs. Everything goes through the Python API."""
