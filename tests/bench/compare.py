"""sli-pipe against accelerate's disk offload: the same documents, one pass, the same memory limit, cold files, interleaved.

    python tests/bench/random_checkpoint.py --shape tinyllama-1.1b --out /tmp/tinyllama
    python tests/bench/compare.py /tmp/tinyllama docs.jsonl --rounds 3 --memory 900MiB --limit 1228 [--bin target/release/sli-pipe]

Prints a line a run and the ratio of medians. The limit (MiB) needs root and the memory controller of cgroup v1 or v2;
0 runs without one. Both get the same number of threads.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent


def limited(mebibytes):
    """A cgroup of this size; returns what a child calls to enter it."""
    if not mebibytes:
        return lambda: None
    v1 = pathlib.Path("/sys/fs/cgroup/memory")
    group = (v1 if v1.is_dir() else pathlib.Path("/sys/fs/cgroup")) / "sli-pipe-bench"
    group.mkdir(exist_ok=True)
    name = "memory.limit_in_bytes" if v1.is_dir() else "memory.max"
    (group / name).write_text(str(mebibytes << 20))
    return lambda: (group / "cgroup.procs").write_text(str(os.getpid()))


def forget(model):
    """Drops the files' pages, so that each run reads the disk."""
    for path in pathlib.Path(model).iterdir():
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def timed(command, enter, model):
    forget(model)
    start = time.monotonic()
    done = subprocess.run(command, preexec_fn=enter, capture_output=True, text=True)
    seconds = time.monotonic() - start
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return seconds, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("docs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="900MiB")
    parser.add_argument("--limit", type=int, default=0, help="MiB of the cgroup")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--bin", default=HERE.parent.parent / "target/release/sli-pipe")
    args = parser.parse_args()
    enter = limited(args.limit)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = pathlib.Path(folder) / "bench.toml"
        quote = json.dumps
        pipeline.write_text(
            f"[model]\nsource = {quote(os.path.abspath(args.model))}\n[data]\nsource = {quote(os.path.abspath(args.docs))}\n"
            f"[engine]\nmemory = {quote(args.memory)}\nthreads = {args.threads}\n"
            f"[output]\ndir = {quote(folder + '/out')}\noverwrite = true\n[[stage]]\nuses = \"score\"\n"
        )
        ours, theirs = [], []
        for round_ in range(args.rounds):
            seconds, out = timed([args.bin, "run", pipeline, "--json"], enter, args.model)
            report = json.loads(out)["report"]
            ours.append(seconds)
            score = report["stages"]["score"]
            print(f"round {round_}: sli-pipe   {seconds:7.1f} s, peak {report['memory']['peak'] >> 20} MiB, perplexity {score['perplexity']:.1f}", flush=True)
            script = [sys.executable, HERE / "accelerate_offload.py", args.model, args.docs, "--threads", str(args.threads)]
            seconds, out = timed(script, enter, args.model)
            theirs.append(seconds)
            print(f"round {round_}: accelerate {seconds:7.1f} s, {out.strip().splitlines()[-1]}", flush=True)
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"median: sli-pipe {a:.1f} s, accelerate {b:.1f} s, ratio {a / b:.2f} (whole processes, start-up included)")


main()
