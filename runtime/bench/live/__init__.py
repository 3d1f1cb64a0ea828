"""Measuring a live session as its viewers see it; see `measure.bench_live`."""
