"""The shell: one module a command, imported when it runs; all work is the Python API's."""
