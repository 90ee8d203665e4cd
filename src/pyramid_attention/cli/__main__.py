"""`python -m pyramid_attention.cli` is `pan`."""

import sys

from .main import main

sys.exit(main())
