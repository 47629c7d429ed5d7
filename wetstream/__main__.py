"""`python -m wetstream`: the same as the `wetstream` command."""

from wetstream.commands.main import main

if __name__ == "__main__":
    main()
