"""`python -m monitor`: the command without its script, for whoever has only the interpreter."""

from monitor.cli import main

main()
