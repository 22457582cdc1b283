"""The command line."""

import os

# The matrices of a pattern are small. Several threads for each product wait for one another more than they work, above
# all beside other programs, and --jobs is what shares work out. Read when numpy is imported, which this precedes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
