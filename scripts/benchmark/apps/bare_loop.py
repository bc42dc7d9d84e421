"""Does the same work without a server: parse, predict, dump. Prints the median in µs."""

import json
import os
import statistics
import sys
import time
from pathlib import Path

from bench_model import make

model = make(os.environ["BENCH_MODEL"])
body = Path(sys.argv[1]).read_bytes()
times = []
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    began = time.perf_counter_ns()
    json.dumps({"results": model.predict(json.loads(body)["tasks"])}).encode()
    times.append(time.perf_counter_ns() - began)
print(statistics.median(times) / 1000)
