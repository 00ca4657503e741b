"""`python -m flamingo`: the command line, where its executable is not on the path."""

from flamingo.cli import main

if __name__ == "__main__":
    main()
