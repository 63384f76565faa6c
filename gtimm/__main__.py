"""`python -m gtimm`: the command line."""

from gtimm.cli.main import main

if __name__ == "__main__":
    main()
