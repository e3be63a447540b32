"""`python -m imgtool` is `imgtool`."""

from imgtool.cli.main import main

main()
