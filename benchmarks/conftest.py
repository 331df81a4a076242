"""One table behind pytest-benchmark's own: what a row takes, per second, and beside its peer of the same run."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Everybody gets one torch thread, as the trainer does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def measure(benchmark, request):
    """Benchmark `function`, which does `items` units of work, as row `name` of `group`; `peer` is divided by."""

    def run(function, *, group, name, items=1, unit="calls", peer=False, rounds=None, setup=None):
        benchmark.group = group
        benchmark.name = name
        benchmark.extra_info.update(items=items, unit=unit, peer=peer, title=name)
        if rounds is None:
            return benchmark(function)
        return benchmark.pedantic(function, rounds=rounds, iterations=1, warmup_rounds=1, setup=setup)

    return run


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    benchmarks = [
        bench for bench in getattr(session, "benchmarks", []) if bench.extra_info.get("title") and bench.stats
    ]
    if not benchmarks:
        return
    terminalreporter.write_line("")
    terminalreporter.write_line("| | median µs | per second | times the peer |\n|---|---|---|---|")
    for group in dict.fromkeys(bench.group for bench in benchmarks):
        rows = [bench for bench in benchmarks if bench.group == group]
        peer = next((row for row in rows if row.extra_info["peer"]), rows[0])
        for row in rows:
            items, median = row.extra_info["items"], row.stats.median
            rate, peer_rate = items / median, peer.extra_info["items"] / peer.stats.median
            terminalreporter.write_line(
                f"| {group}: {row.extra_info['title']} | {median * 1e6:,.1f} | {rate:,.0f} {row.extra_info['unit']} "
                f"| {rate / peer_rate:.1f} |"
            )
