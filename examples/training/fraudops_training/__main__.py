"""`python -m fraudops_training`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
