"""Networks of real cores and real drivers on virtual time: one thread, one seed, no clock. `python -m metanode.simulation --seed 7`.

Everything random is drawn from the seed before or during a run in a fixed order, so one seed gives one trace on every machine; the trace
hash, printed last, proves it.
"""
