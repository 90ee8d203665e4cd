"""`python -m pyramid_attention.cli` is `pan`."""

import sys

from . import main

sys.exit(main())
