"""Serves a GGUF file with llama.cpp: llm-server.py PORT MODEL.gguf [MMPROJ.gguf]; see scripts/llm-server."""

import os
import sys
import threading
from pathlib import Path

import xllamacpp

# Tokens that each of the requests that are answered at the same time may have, its answer included.
CONTEXT = 4096
SLOTS = 2

port, model, *projector = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
if projector:
    params.mmproj.path = projector[0]
params.model_alias = {Path(model).name.split(".")[0]}
params.hostnames = ["127.0.0.1"]
params.port = int(port)
params.n_parallel = SLOTS
params.n_ctx = CONTEXT * SLOTS
params.cpuparams.n_threads = os.cpu_count()
# Errors alone.
params.verbosity = 1
server = xllamacpp.Server(params)
print(f"ready: {server.listening_address}", file=sys.stderr, flush=True)
threading.Event().wait()
